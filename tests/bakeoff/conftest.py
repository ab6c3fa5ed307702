"""A small real task for bake-offs, and results made without training."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.bakeoff import BakeOff, Comparison, LeftOut, Trial
from toolkit.bakeoff.comparison import ranked
from toolkit.config import Config
from toolkit.tasks import TASKS

MAIN = TASKS["classification"].main


@pytest.fixture(scope="session", autouse=True)
def _cheap_collection() -> None:
    """Exempt what earlier tests left from the garbage collection after each run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def squeeze_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained SqueezeNet."""
    return untrained_weights("squeezenet1_1", 5, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def resnet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained ResNet-18, which has BatchNorm layers."""
    return untrained_weights("resnet18", 5, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def make(tmp_path: Path, squeeze_weights: Path) -> Callable[..., Config]:
    """``make(train={...}, ...)`` is the config of a quick job on digits with these sections changed."""
    return digits_jobs(
        tmp_path,
        model={"name": "squeezenet1_1", "pretrained": str(squeeze_weights)},
        data={"classes": ["0", "1"], "samples_per_class": 4, "batch_size": 8, "val_fraction": 0.05},
        transfer={"preset": "last_stages"},
        train={"epochs": 1},
    )


def trial(candidate: str, seed: int, score: float, **facts: Any) -> Trial:
    """A finished run whose score rises linearly, one second per epoch."""
    planned = facts.pop("planned", 4)
    epochs = facts.pop("epochs", planned)
    pace = facts.pop("pace", 1.0)
    curve = tuple((epoch, pace * epoch, score * epoch / epochs) for epoch in range(1, epochs + 1))
    values: dict[str, Any] = {
        "folder": Path(f"runs/{candidate}-seed{seed}"), "value": score, "best_epoch": epochs, "epochs": epochs,
        "planned": planned, "seconds": pace * epochs, "memory": 5 * 10**8, "exported": 9 * 10**6, "curve": curve,
        "parameters": {"total": 1000, "trainable": 100, "frozen": 900},
    }  # fmt: skip
    return Trial(candidate, seed, score=score, **{**values, **facts})


def row(candidate: str, scores: Sequence[float], **facts: Any) -> Comparison:
    """A row with a run for each score; ``candidate`` is its title, such as ``alexnet: scratch``."""
    network, _, name = candidate.rpartition(": ")
    trials = tuple(trial(candidate, seed, score, **facts) for seed, score in enumerate(scores))
    seconds = tuple(each.seconds for each in trials)
    facts = {"memory": trials[0].memory, "exported": trials[0].exported, "trials": trials, "main": not network}
    return Comparison(name, MAIN, tuple(scores), seconds, 100, network or "squeezenet1_1", **facts)


@pytest.fixture
def found(tmp_path: Path, make: Callable[..., Config]) -> Callable[..., BakeOff]:
    """``found(rows, left_out)`` is the bake-off of these rows, best first."""

    def build(rows: Sequence[Comparison], left_out: Sequence[LeftOut] = (), seeds: int = 3) -> BakeOff:
        folder = tmp_path / "job-compare"
        return BakeOff(folder, make(), MAIN, "val", 150, seeds, tuple(ranked(rows)), tuple(left_out), None, 60.0)

    return build
