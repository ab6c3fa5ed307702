"""Pooled features of images in memory: with an engine of the toolkit, or in plain dygraph with a given batch size.

python benchmarks/ours/extract.py NETWORK paddle|onnx|dygraph --batch B --count N --weights FILE --images FOLDER

The cost of loading is measured with one block of 32 images, and subtracted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any, ClassVar

import toolkit  # noqa: F401 - sets Paddle's environment

# isort: split
import numpy as np
import paddle

from toolkit.data import Preprocessing, read_image
from toolkit.engine.features.extract import extract
from toolkit.engine.features.runners import StageSlice, traced
from toolkit.zoo import create_network

BLOCK, IMAGES = 32, 32


class Prepared:
    """Images in memory, each used many times."""

    portable: ClassVar[bool] = False

    def __init__(self, images: Path) -> None:
        files = (sorted(images.glob("*/*/*.jpg")) * IMAGES)[:IMAGES]
        self._inputs = np.stack([Preprocessing(224).apply(read_image(str(file))) for file in files])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Inputs of some rows."""
        return np.asarray(self._inputs[rows % IMAGES])


def main() -> None:
    """Compute, and print the time as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("engine", choices=["paddle", "onnx", "dygraph"])
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    args = parser.parse_args()
    network = create_network(args.network, 5, pretrained=str(args.weights))
    stage_slice, source = StageSlice(network, 0, len(network.stage_names)), Prepared(args.images)
    stage_slice.eval()
    if args.engine == "dygraph":
        _by_hand(stage_slice, source, args.batch, BLOCK)  # the first call is slower
        found = _timed(lambda: _by_hand(stage_slice, source, args.batch, args.count))
    else:
        with traced(stage_slice, (3, 224, 224), args.engine) as program:
            if program is None:
                raise SystemExit(f"error: {args.engine} cannot run {args.network}")
            few, many = range(BLOCK), range(BLOCK + args.count)
            once = _timed(lambda: list(extract(stage_slice, program, source, few)))
            both = _timed(lambda: list(extract(stage_slice, program, source, many)))
        found = {key: both[key] - once[key] for key in both}
    print(json.dumps({**found, "images": args.count}))


def _by_hand(stage_slice: StageSlice, source: Prepared, batch: int, count: int) -> None:
    with paddle.no_grad():
        for start in range(0, count, batch):
            stage_slice(paddle.to_tensor(source(np.arange(start, min(start + batch, count))))).numpy()


def _timed(work: Any) -> dict[str, float]:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": _cpu() - cpu}


def _cpu() -> float:
    return sum(use.ru_utime + use.ru_stime for use in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
