"""The source of the advisor's numbers: measure the calibration's situations, and derive thresholds from the results.

    python benchmarks/calibrate.py measure   # of each situation in calibration.jsonl -> calibration_evidence.jsonl
    python benchmarks/calibrate.py derive    # both -> toolkit/advise/thresholds.json and benchmarks/calibration.md

``calibration.jsonl`` is the table of bake-off results, one JSON object per line: ``set``, ``network``,
``images_per_class`` (null: all), ``train_images``, ``classes``, ``preset``, ``seed``, ``score``, ``seconds``,
``metric``, and ``image_size`` if it is not the network's own. Both tables are next to this script; existing
measurements are not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import variance
from typing import Any

import numpy as np

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

HERE = Path(__file__).resolve().parent
RESULTS, EVIDENCE_ROWS, REPORT = (
    HERE / "calibration.jsonl",
    HERE / "calibration_evidence.jsonl",
    HERE / "calibration.md",
)
THRESHOLDS = REPO / "toolkit" / "advise" / "thresholds.json"
SAMPLE = 250
"""Number of images looked at in each situation."""
Key = tuple[str, str, "int | None", "int | None"]
"""Data set, network, images per class, side of the image (None: the network's own)."""


@dataclass(frozen=True)
class ImageSet:
    """One data set of the calibration.

    Attributes:
        format: As ``data.format``.
        similar: Whether its owner would call it similar to ImageNet (photographs of things and animals).
    """

    format: str
    similar: bool


SETS = {
    "ants_bees": ImageSet("folder", similar=True),
    "CUB_200_2011_mini": ImageSet("cub200", similar=True),
    "flower_photos": ImageSet("folder", similar=True),
    "chest_xray": ImageSet("folder", similar=False),
    "eurosat_rgb": ImageSet("folder", similar=False),
    "steel_defects": ImageSet("folder", similar=False),
    "sign_digits": ImageSet("folder", similar=False),
    "trash": ImageSet("folder", similar=True),
    "mnist_png": ImageSet("folder", similar=False),
}
WEIGHTS = {"mobilenet_v2": "mobilenet_v2_1.0.pdparams", "squeezenet1_1": "squeezenet1_1.pdparams"}


@dataclass(frozen=True)
class Situation:
    """A data set at one size with one network, and the bake-off's scores: preset -> seed -> score."""

    data: str
    network: str
    images_per_class: int | None
    image_size: int | None
    scores: dict[str, dict[int, float]]

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.data, self.network, self.images_per_class, self.image_size

    @property
    def name(self) -> str:
        """Its name in tables."""
        size = "all images" if self.images_per_class is None else f"{self.images_per_class} per class"
        pixels = f", {self.image_size} px" if self.image_size else ""
        return f"{self.data}, {size}, {self.network}{pixels}"

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean scores as if every preset had been run with every seed: least-squares means of preset plus seed.

        The seed draws the images, and some draws are easier than others; plain means over different seeds would
        not be comparable.
        """
        if not self.scores:
            return {}
        presets, seeds = list(self.scores), sorted({seed for scores in self.scores.values() for seed in scores})
        rows, values = [], []
        for preset, scores in self.scores.items():
            for seed, score in scores.items():
                rows.append([float(preset == each) for each in presets] + [float(seed == each) for each in seeds])
                values.append(score)
        found = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
        shared = found[len(presets) :].mean()
        return {preset: float(value + shared) for preset, value in zip(presets, found, strict=False)}

    @property
    def spread(self) -> float:
        """Standard deviation over seeds, pooled over the presets that have several; 0 if none has."""
        repeated = [list(scores.values()) for scores in self.scores.values() if len(scores) > 1]
        freedom = sum(len(scores) - 1 for scores in repeated)
        return math.sqrt(sum((len(scores) - 1) * variance(scores) for scores in repeated) / freedom) if freedom else 0.0


def read_results(path: Path = RESULTS) -> list[Situation]:
    """The bake-off's rows, grouped by situation, without the runs with a regulariser."""
    scores: dict[Key, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in read_lines(path):
        if row.get("score") is not None and " + " not in row["preset"]:
            scores[key_of(row)][row["preset"]][row["seed"]] = float(row["score"])
    return [Situation(*key, dict(by_preset)) for key, by_preset in scores.items()]


def key_of(row: Mapping[str, Any]) -> Key:
    """The situation that a line belongs to."""
    return row["set"], row["network"], row["images_per_class"], row.get("image_size")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file; none if there is no file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def measure_all(situations: Iterable[Key], assets: Path, cache: Path, path: Path) -> None:
    """Measure what is not in the table yet, and append one line for each."""
    import toolkit  # noqa: F401 - sets Paddle's environment
    from toolkit.advise.measure import measure
    from toolkit.advise.request import request_of
    from toolkit.config import make_config
    from toolkit.core.runtime import import_paddle

    import_paddle()
    known = {key_of(row) for row in read_lines(path)}
    for data, network, count, pixels in situations:
        if (data, network, count, pixels) in known:
            continue
        values = {
            "name": data,
            "model": {"name": network, "pretrained": str(assets / "weights" / WEIGHTS[network])},
            "data": {
                "format": SETS[data].format,
                "root": assets / "datasets" / data,
                "samples_per_class": count,
                "image_size": pixels,
            },
            "cache": {"dir": cache},
        }
        config = make_config(values)
        found = measure(request_of(config), sample=SAMPLE, cache=config.cache)
        row = {"set": data, "network": network, "images_per_class": count, "image_size": pixels}
        row["measurement"] = found.model_dump(mode="json")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{data} {network} {count} {pixels or ''}: {found.sample} images, {found.seconds} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the action given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("measure", "derive"))
    default = os.environ.get("TOOLKIT_ASSETS") or REPO.parent / "shared" / "assets"
    parser.add_argument("--assets", type=Path, default=Path(default), help="folder with datasets/ and weights/")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/paddle-finetune/features"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--evidence", type=Path, default=EVIDENCE_ROWS)
    parser.add_argument(
        "--sizes", nargs="+", help="sizes to measure of all data sets (numbers, or all), results or not"
    )
    parser.add_argument("--image-size", type=int, help="with --sizes: side of the image, pixels")
    parser.add_argument("--networks", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--output", type=Path, default=THRESHOLDS)
    parser.add_argument("--report", type=Path, default=REPORT)
    args = parser.parse_args(arguments)
    situations = read_results(args.results)
    if args.action == "measure":
        wanted = [one.key for one in situations if one.network in args.networks]
        sizes = [None if size == "all" else int(size) for size in args.sizes or ()]
        pixels = args.image_size
        wanted += [(data, network, size, pixels) for network in args.networks for data in SETS for size in sizes]
        measure_all(dict.fromkeys(wanted), args.assets, args.cache, args.evidence)
        return 0
    from benchmarks.calibration import derive

    return derive(situations, read_lines(args.evidence), read_lines(args.results), args.output, args.report)


if __name__ == "__main__":
    sys.exit(main())
