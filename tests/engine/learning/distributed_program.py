"""Run by several processes that exchange values or share a training; each writes its answers to a file."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from paddle.callbacks import Callback

import toolkit  # noqa: F401 - before Paddle
from tests.jobs import resnet18_is
from toolkit.config import load_config
from toolkit.core.errors import ToolkitError
from toolkit.core.runtime import rank, world_size
from toolkit.engine import Trainer, build_job
from toolkit.engine.evaluate import evaluate
from toolkit.engine.learning.distributed import all_rows, begin, from_main, sums


class Notes(Callback):
    """Records the losses; the last process can be made to die after a number of steps."""

    def __init__(self, dies_after: int = 0) -> None:
        super().__init__()
        self.losses: list[float] = []
        self._dies_after = dies_after

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        """Record the loss."""
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == self._dies_after and rank() == world_size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)


def talk() -> dict[str, Any]:
    """Exchange one value of each kind."""
    begin()
    mine = np.arange(rank() * 10, rank() * 10 + 3 * rank(), dtype=np.float32).reshape(-1, 1)
    main = from_main({"path": "ä"} if rank() == 0 else None)
    return {"sums": sums([1.0, float(rank())]), "rows": all_rows(mine).ravel().tolist(), "main": main}


def train(config: str, dies_after: str = "0", resume: str = "") -> dict[str, Any]:
    """Return the losses of all steps, and the result."""
    notes = Notes(int(dies_after))
    result = Trainer(build_job(load_config(config)), [notes]).fit(resume=resume or None)
    return {"losses": notes.losses, "best": result.best, "last": result.last, "run": str(result.folder.path)}


def exact(config: str) -> dict[str, Any]:
    """Evaluate the first 13, 17 and 33 images, shared by all processes and by this process alone."""
    begin()
    job = build_job(load_config(config))
    found = {}
    for count in (13, 17, 33):
        images = job.data.train.take(np.arange(count))
        shared = evaluate(job.network, job.loader(images, training=False, shared=True), job.objective, shared=True)
        found[str(count)] = [shared, evaluate(job.network, job.loader(images, training=False), job.objective)]
    return found


def refused(config: str) -> str:
    """Return the error that ends a training."""
    try:
        train(config)
    except ToolkitError as error:
        return error.message
    return ""


if __name__ == "__main__":
    out, *calls = sys.argv[1:]
    functions = {"talk": talk, "train": train, "exact": exact, "refused": refused}
    try:
        with resnet18_is(thin=True):
            answers = [functions[name](*words) for name, *words in map(json.loads, calls)]
    except ToolkitError as error:
        sys.exit(str(error))
    Path(f"{out}.{rank()}").write_text(json.dumps(answers), encoding="utf-8")
