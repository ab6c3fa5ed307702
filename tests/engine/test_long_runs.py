"""A run of 10,000 steps: memory does not grow, and what is written grows with the epochs alone."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle
import pytest

from tests.engine.run_helpers import lines_of
from toolkit.config import Config
from toolkit.engine import Trainer, build_job

Make = Callable[..., Config]
EPOCHS, STEPS, WARM = 100, 100, 20
MEMORY_MB = 8.0
"""Paddle 3.3 forgets 0.12 KB, a list of argument names, with every tensor that is made of an array: 0.4 KB a step."""
CASES: dict[str, dict[str, Any]] = {
    "a head on kept features": {
        "data": {"samples_per_class": 37, "batch_size": 1, "augment": "none"},
        "transfer": {"preset": "linear_probe"},
        "train": {"epochs": EPOCHS},
    },
    "all callbacks": {
        "data": {"samples_per_class": 37, "batch_size": 1, "augment": "none"},
        "transfer": {"preset": "linear_probe"},
        "train": {"epochs": EPOCHS, "mixup": 0.0, "clip_norm": 1.0, "accumulate": 1},
        "callbacks": {
            "weight_averaging": {"kind": "ema"},
            "reduce_on_plateau": {"patience": 5},
            "early_stopping": {"patience": 1000},
            "csv_logger": True,
            "jsonl_logger": True,
        },
    },
}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Watches(paddle.callbacks.Callback):
    """Notes memory, objects and the size of the record at the end of each epoch."""

    def __init__(self, record: Path) -> None:
        super().__init__()
        self.record = record
        self.steps = 0
        self.memory: list[float] = []
        self.objects: list[int] = []
        self.bytes: list[int] = []

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        self.steps += 1

    def on_eval_end(self, logs: object = None) -> None:
        if len(self.memory) % 10 == 0:
            gc.collect()
            self.objects.append(sum(type(each) is not list for each in gc.get_objects()))
        self.memory.append(resident_mb())
        self.bytes.append(sum(file.stat().st_size for file in self.record.glob("*.log")))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")
@pytest.mark.parametrize("name", CASES)
def test_ten_thousand_steps(make: Make, name: str) -> None:
    config = make(log={"visualdl": True, "every": 50, "sample_images": 0}, **CASES[name])
    watch = Watches(config.output_dir / "job" / "vdl")
    result = Trainer(build_job(config), [watch]).fit()
    assert watch.steps >= EPOCHS * STEPS * 0.95
    assert watch.memory[-1] - watch.memory[WARM] < MEMORY_MB
    assert watch.objects[-1] - watch.objects[WARM // 10] < 200
    assert [line["epoch"] for line in lines_of(result.folder)] == list(range(1, EPOCHS + 1))
    first, second = watch.bytes[EPOCHS // 2] - watch.bytes[WARM], watch.bytes[-1] - watch.bytes[WARM]
    assert second / first == pytest.approx((EPOCHS - 1 - WARM) / (EPOCHS // 2 - WARM), rel=0.1)
    assert watch.bytes[-1] < 1_000_000
