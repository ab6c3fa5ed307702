"""Short trainings of every preset in the calibration's situations, from which races are simulated.

    python benchmarks/races.py --assets shared/assets [--folds 1]

Each situation is that of calibration_runs.py with seed 0. Outputs for the images held out go to a folder, one file per
preset and fold; existing ones are not repeated. ``simulate`` in this module runs the product's own race on them.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import toolkit  # noqa: E402, F401 - sets threads before Paddle is imported
from benchmarks.calibration_runs import NETWORKS, PRESETS, SETS, SIZES, Cell, config_of  # noqa: E402
from toolkit.advise.laps import lap_config  # noqa: E402
from toolkit.advise.race import Lap  # noqa: E402
from toolkit.core.console import quietly  # noqa: E402
from toolkit.engine import Trainer, build_job  # noqa: E402
from toolkit.engine.evaluate import loader_outputs  # noqa: E402
from toolkit.engine.features.source import FeatureSource  # noqa: E402


def lap_file(folder: Path, cell: Cell, fold: int) -> Path:
    """Where the outputs of one lap are."""
    return folder / f"{cell.name}-{cell.network}-{cell.images}-{cell.preset.replace('/', '_')}-{cell.seed}-{fold}.npz"


def read_lap(folder: Path, cell: Cell, fold: int) -> Lap | None:
    """A recorded lap, or None."""
    path = lap_file(folder, cell, fold)
    if not path.is_file():
        return None
    with np.load(path) as kept:
        return Lap(kept["outputs"], kept["labels"], float(kept["seconds"]))


def run(cell: Cell, fold: int, assets: Path, work: Path) -> Lap:
    """Train one lap."""
    config = config_of(cell, assets, work)
    began = time.process_time()
    with quietly():
        plan = build_job(config).plan
        began = time.process_time()
        job = build_job(lap_config(config, plan, fold, work / "laps" / str(os.getpid())))
        assert job.data.test is None
        trainer = Trainer(job)
        trainer.fit()
        job = replace(trainer.job)
        outputs, labels = loader_outputs(job.network, FeatureSource(job).for_evaluation(job.data.val), config.train)
    shutil.rmtree(trainer.folder.path)
    return Lap(outputs, labels, time.process_time() - began)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=os.environ.get("TOOLKIT_ASSETS"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "calibration")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for fold in args.folds:
        for size in args.sizes:
            for preset in args.presets:
                for network in args.networks:
                    for name in args.sets:
                        cell = Cell(args.seed, name, network, SETS[name][SIZES.index(size)], preset)
                        if lap_file(args.out, cell, fold).is_file():
                            continue
                        lap = run(cell, fold, args.assets.resolve(), args.work)
                        np.savez(
                            lap_file(args.out, cell, fold), outputs=lap.outputs, labels=lap.labels, seconds=lap.seconds
                        )
                        score = float((lap.outputs.argmax(axis=1) == lap.labels).mean())
                        print(f"{cell} fold {fold}: {score:.3f}, {lap.seconds:.1f} s", flush=True)
                        gc.collect()


if __name__ == "__main__":
    main()
