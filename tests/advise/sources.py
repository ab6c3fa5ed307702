"""Two small networks, one of them pretrained on a source task of our own, and a job to choose one for."""

from __future__ import annotations

from pathlib import Path

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import Config
from toolkit.trainer import Trainer

SMALL, OTHER = "mobilenet_v1_x0_25", "shufflenet_v2_x0_25"


def source_networks(folder: Path) -> dict[str, Path]:
    """Return weights by network: ``SMALL`` trained a little on the digits 5 to 9, ``OTHER`` untrained."""
    make = digits_jobs(folder, data={"classes": ["5", "6", "7", "8", "9"], "samples_per_class": 12})
    job = make(
        model={"name": SMALL, "pretrained": False}, transfer={"preset": "scratch"}, train={"epochs": 2, "lr": 0.01}
    )
    return {SMALL: Trainer.from_config(job).fit().folder.best, OTHER: untrained_weights(OTHER, None, folder)}


def digits_job(folder: Path, cache: Path) -> Config:
    """Return a job on the digits 0 to 2, with measurements in ``cache``."""
    return digits_jobs(
        folder,
        model={"name": "resnet18"},
        data={"classes": ["0", "1", "2"], "samples_per_class": 14, "val_fraction": 0.1},
        transfer={"preset": "auto"},
        cache={"engine": "dygraph", "dir": cache},
    )()


def named(sources: dict[str, Path]) -> list[str]:
    """Return the networks as arguments, ``name=FILE``."""
    return [f"{name}={path}" for name, path in sources.items()]
