"""The bake-off that the advisor is based on: presets on real data sets, sizes and networks; one line per run.

    python benchmarks/calibration_runs.py --assets shared/assets [--networks mobilenet_v2] [--presets usual] [--seeds 2]

Results go to calibration.jsonl. Each data set is split once: at most 400 test images, the rest for training. A run
draws a number of images per class by its seed, trains a preset for the preset's own length at 128 px, and is scored
with its last epoch on the test images, so nothing is chosen by what is reported. ``usual`` is the usual recipe:
everything is fine-tuned at one learning rate. Existing rows are not rerun; delete those of a preset whose meaning has
changed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import toolkit  # noqa: E402, F401 - sets threads before Paddle is imported
from benchmarks.regularisers import OPTIONS, TRIED  # noqa: E402
from toolkit.bakeoff.candidates import usual_rate  # noqa: E402
from toolkit.config import Config, make_config  # noqa: E402
from toolkit.core.console import quietly  # noqa: E402

SETS: dict[str, tuple[int | None, ...]] = {
    "ants_bees": (5, 20, None),
    "chest_xray": (5, 20, 100),
    "flower_photos": (5, 20, 60),
    "eurosat_rgb": (5, 15, 30),
    "CUB_200_2011_mini": (5, 10, 20),
}
"""Training images per class, by size; None: all."""
SIZES = ("small", "middle", "large")
NETWORKS = {"squeezenet1_1": "squeezenet1_1.pdparams", "mobilenet_v2": "mobilenet_v2_1.0.pdparams"}
PRESETS: dict[str, dict[str, Any]] = {
    "linear_probe": {"preset": "linear_probe"},
    "shallow_probe": {"preset": "shallow_probe"},
    "last_stages": {"preset": "last_stages"},
    "all_stages": {"preset": "all_stages"},
    "all_stages_bold": {"preset": "all_stages_bold"},
    "usual": {"preset": "custom", "freeze": "none", "backbone_lr": 1.0, "head_first": 0, "batch_norm": "train"},
    "most_stages": {"preset": "most_stages"},
}
TITLES = (*PRESETS, *(f"{preset} + {name}" for preset, names in TRIED.items() for name in names))
USUAL_RATES = {"mobilenet_v2": usual_rate(batch_norm=True), "squeezenet1_1": usual_rate(batch_norm=False)}
USUAL_EPOCHS = 25
"""The same as presets that fine-tune stages, including head-first epochs; ``most_stages`` takes ten more."""
SIZE, TEST, TEST_SHARE = 128, 400, 0.4


@dataclass(frozen=True)
class Cell:
    """One run of the table."""

    seed: int
    name: str
    network: str
    images: int | None
    preset: str

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Cell:
        """The cell that a line of the table belongs to."""
        return cls(row["seed"], row["set"], row["network"], row["images_per_class"], row["preset"])


def cells(networks: list[str], presets: list[str], seeds: int, sizes: list[str]) -> Iterator[Cell]:
    """All runs, the smallest data sets first."""
    for seed in range(seeds):
        for size in sizes:
            for preset in presets:
                for network in networks:
                    for name, counts in SETS.items():
                        yield Cell(seed, name, network, counts[SIZES.index(size)], preset)


def split(assets: Path, work: Path, name: str) -> Path:
    """A folder of links, ``train``, ``val`` (one image per class, which decides nothing) and ``test``."""
    root, target = assets / "datasets" / name, work / "sets" / name
    if target.is_dir():
        return target
    folders = [root / "images"] if (root / "images").is_dir() else [root / "train", root / "val"]
    classes: dict[str, list[Path]] = {}
    for folder in folders if folders[0].is_dir() else [root]:
        for file in sorted(folder.glob("*/*.jpg")):
            classes.setdefault(file.parent.name, []).append(file)
    draw = random.Random(0)
    for label, files in classes.items():
        shuffled = draw.sample(files, len(files))
        test = min(TEST // len(classes), int(TEST_SHARE * len(files)))
        parts = {"test": shuffled[:test], "val": shuffled[test : test + 1], "train": shuffled[test + 1 :]}
        for part, chosen in parts.items():
            (target / part / label).mkdir(parents=True)
            for file in chosen:
                (target / part / label / file.name).symlink_to(file.resolve())
    return target


def config_of(cell: Cell, assets: Path, work: Path) -> Config:
    """The job of a cell."""
    preset, _, regulariser = cell.preset.partition(" + ")
    usual = {"optimizer": "momentum", "lr": USUAL_RATES[cell.network], "epochs": USUAL_EPOCHS}
    train: dict[str, Any] = usual if preset == "usual" else {}
    section, _, option = OPTIONS[regulariser].partition(".") if regulariser else ("", "", "")
    if section == "train":
        train |= yaml.safe_load(option.replace("=", ": "))
    return make_config(
        {
            "name": "run",
            "seed": cell.seed,
            "output_dir": str(work / "runs" / str(os.getpid())),
            "model": {"name": cell.network, "pretrained": str(assets / "weights" / NETWORKS[cell.network])},
            "data": {
                "root": str(split(assets, work, cell.name)),
                "image_size": SIZE,
                "samples_per_class": cell.images,
                "split_seed": cell.seed,
                "workers": 1,
                "cache_images": "memory",
            },
            "transfer": PRESETS[preset],
            "train": train,
            "cache": {"dir": str(work / "features")},
            "log": {"visualdl": False},
            "export": {"enabled": False, "report": False},
        }
    )


def run(cell: Cell, assets: Path, work: Path) -> dict[str, Any]:
    """Train, and score the last epoch."""
    from toolkit.callbacks import WeightAveraging
    from toolkit.engine import Trainer, build_job, evaluate_job

    config = config_of(cell, assets, work)
    shutil.rmtree(config.output_dir, ignore_errors=True)
    began = time.process_time()
    with quietly():
        job = build_job(config)
        assert job.data.test is not None
        average = WeightAveraging(kind="ema") if cell.preset.endswith("+ weight_averaging") else None
        trainer = Trainer(replace(job, data=replace(job.data, test=None)), [average] if average else [])
        trainer.fit()
    seconds = time.process_time() - began
    job.network.set_state_dict({**trainer.state.weights, **(average.averaged_weights() or {} if average else {})})
    scores = evaluate_job(job, config.train.tta)
    return {
        "set": cell.name,
        "network": cell.network,
        "images_per_class": cell.images,
        "train_images": len(job.data.train),
        "classes": len(job.data.classes),
        "preset": cell.preset,
        "seed": cell.seed,
        "score": round(float(scores["top1"]), 5),
        "metric": "top1",
        "loss": round(float(scores["loss"]), 4),
        "seconds": round(seconds, 1),
        "epochs": job.plan.epochs,
        "image_size": SIZE,
        "test_images": len(job.data.test),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=os.environ.get("TOOLKIT_ASSETS"), help="real images and weights")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "calibration")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("calibration.jsonl"))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--presets", nargs="+", choices=TITLES, default=TITLES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    args = parser.parse_args()
    if args.assets is None:
        parser.error("give the folder of real images and weights with --assets")
    lines = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    done = {Cell.of_row(json.loads(line)) for line in lines}
    for cell in cells(args.networks, args.presets, args.seeds, args.sizes):
        if cell in done:
            continue
        row = json.dumps(run(cell, args.assets.resolve(), args.work))
        with args.out.open("a", encoding="utf-8") as file:
            file.write(row + "\n")
        print(row, flush=True)
        gc.collect()  # a trainer and its parts form reference cycles


if __name__ == "__main__":
    main()
