"""Heads on frozen features, each compared with the default head on the last stage's features.

    python benchmarks/heads.py --assets shared/assets

Each cell is a data set, a network, a number of images per class and a seed, split as in calibration_runs.py and
measured at 128 px on the same test images. Results go to heads.jsonl, one line per cell with the accuracy and the CPU
seconds of every head; existing lines are not repeated.

- ``last``: the default head, multinomial logistic regression on the last stage's features, penalty by cross-validation.
- ``all stages``: the same on the features of all stages, each stage scaled to the same total variance.
- ``upper half``: the same on the features of the upper half of the stages.
- ``kept``: the solver's choice between ``upper half`` and ``last``, by held-out training images (`multi_stage_probe`).
- ``nearest mean``: the nearest class mean of standardised, normalised features of the last stage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import toolkit  # noqa: E402, F401 - sets threads before Paddle is imported
from benchmarks.calibration_runs import NETWORKS, SETS, Cell, config_of  # noqa: E402
from toolkit.advise.activations import activations  # noqa: E402
from toolkit.core.console import quietly  # noqa: E402
from toolkit.data import BatchLoader  # noqa: E402
from toolkit.engine import build_job  # noqa: E402
from toolkit.engine.solvers.linear import fit_linear_head  # noqa: E402

Stages = list[NDArray[np.float32]]
HERE = Path(__file__).resolve().parent


def features_of(cell: Cell, assets: Path, work: Path) -> tuple[Stages, NDArray[Any], Stages, NDArray[Any], int]:
    """Pooled features of every stage and labels, of the training and the test images, and the number of classes."""
    key = f"{cell.name}-{cell.network}-{cell.images}-{cell.seed}.npz"
    path = work / "heads" / key
    if not path.is_file():
        with quietly():
            job = build_job(config_of(cell, assets, work))
            assert job.data.test is not None
            found: dict[str, Any] = {"classes": len(job.data.classes)}
            for part, images in (("train", job.data.train), ("test", job.data.test)):
                loader = BatchLoader(images, job.preprocessing, batch_size=16, workers=1)
                seen = activations(job.network, loader, title=key, statistics=0, engine="auto", device="cpu")
                found |= {f"{part}{index}": stage for index, stage in enumerate(seen.stages)}
                found[f"{part}-labels"] = images.labels
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **found)
    with np.load(path) as kept:
        stages = sum(name.startswith("train") for name in kept.files) - 1
        parts = [[kept[f"{part}{index}"] for index in range(stages)] for part in ("train", "test")]
        return parts[0], kept["train-labels"], parts[1], kept["test-labels"], int(kept["classes"])


def scaled(train: Stages, test: Stages) -> tuple[Stages, Stages]:
    """Both, with every stage's training features at mean 0 and a total variance of 1."""
    pairs = []
    for known, asked in zip(train, test, strict=True):
        mean = known.mean(axis=0)
        size = float(np.sqrt(known.var(axis=0).sum())) or 1.0
        pairs.append(((known - mean) / size, (asked - mean) / size))
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


class Heads:
    """All heads for the features of one cell."""

    def __init__(self, train: Stages, labels: NDArray[Any], test: Stages, truth: NDArray[Any], classes: int) -> None:
        self.train, self.test = scaled(train, test)
        self.labels, self.truth, self.classes = labels, truth, classes

    def _solved(self, chosen: Sequence[int]) -> tuple[float, float]:
        """Test accuracy and held-out loss of the exact head on some stages."""
        known, asked = (np.concatenate([part[index] for index in chosen], axis=1) for part in (self.train, self.test))
        head = fit_linear_head(known, self.labels, asked, self.truth, "classification", num_classes=self.classes)
        return head.best.val["top1"], head.best.held_out or 0.0

    def last(self) -> float:
        """The default head."""
        return self._solved([len(self.train) - 1])[0]

    def all_stages(self) -> float:
        """A head on all stages."""
        return self._solved(range(len(self.train)))[0]

    def upper_half(self) -> float:
        """A head on the upper half of the stages."""
        return self._solved(range(len(self.train) // 2, len(self.train)))[0]

    def kept(self) -> float:
        """The upper half, or the last stage alone where that predicts held-out training images no worse."""
        known, asked = (np.concatenate(part[len(part) // 2 :], axis=1) for part in (self.train, self.test))
        pieces = [rows.shape[1] for rows in self.train[len(self.train) // 2 :]]
        parts = known, self.labels, asked, self.truth, "classification"
        return fit_linear_head(*parts, num_classes=self.classes, pieces=pieces).best.val["top1"]

    def nearest_mean(self) -> float:
        """The nearest class mean."""
        spread = self.train[-1].std(axis=0) + 1e-12
        known, asked = self.train[-1] / spread, self.test[-1] / spread
        known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, asked))
        means = np.stack([known[self.labels == label].mean(axis=0) for label in range(self.classes)])
        return float(((asked @ means.T).argmax(axis=1) == self.truth).mean())


HEADS: dict[str, Callable[[Heads], float]] = {
    "last": Heads.last,
    "all stages": Heads.all_stages,
    "upper half": Heads.upper_half,
    "kept": Heads.kept,
    "nearest mean": Heads.nearest_mean,
}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=os.environ.get("TOOLKIT_ASSETS"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "calibration")
    parser.add_argument("--out", type=Path, default=HERE / "heads.jsonl")
    parser.add_argument("--heads", nargs="+", choices=list(HEADS), default=list(HEADS))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    lines = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    done = {(row["set"], row["network"], row["images_per_class"], row["seed"]) for row in map(json.loads, lines)}
    cells = [
        Cell(seed, name, network, count, "linear_probe")
        for seed in range(args.seeds)
        for name, counts in SETS.items()
        for network in NETWORKS
        for count in counts
        if (name, network, count, seed) not in done
    ]
    for cell in cells:
        heads = Heads(*features_of(cell, args.assets.resolve(), args.work))
        row: dict[str, Any] = {"set": cell.name, "network": cell.network, "images_per_class": cell.images}
        row |= {"train_images": len(heads.labels), "seed": cell.seed, "scores": {}, "seconds": {}}
        for name in args.heads:
            began = time.process_time()
            row["scores"][name] = round(HEADS[name](heads), 5)
            row["seconds"][name] = round(time.process_time() - began, 2)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


if __name__ == "__main__":
    main()
