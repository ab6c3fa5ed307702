"""A fitted linear head, and the trials that led to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from toolkit.core.console import new_table
from toolkit.engine.solvers.rows import Rows, chunks_of
from toolkit.tasks import TASKS, TaskName


@dataclass(frozen=True)
class Trial:
    """One regularisation strength.

    Attributes:
        regularisation: Factor of the penalty; see ``fit_linear_head``.
        train: The task's metrics on the training rows.
        val: The task's metrics on the validation rows.
        converged: Whether the optimum was reached.
        held_out: Mean loss on held-out training images, by cross-validation; None if there are too few.
    """

    regularisation: float
    train: dict[str, float]
    val: dict[str, float]
    converged: bool = True
    held_out: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        return {
            "regularisation": self.regularisation,
            "train": self.train,
            "val": self.val,
            "converged": self.converged,
            "held_out_loss": self.held_out,
        }


@dataclass(frozen=True)
class LinearSolution:
    """A linear head on unscaled features: ``outputs = features @ weight + bias``.

    Attributes:
        task: Task; the outputs are logits, or targets in their own units.
        weight: float32 ``[D, C]``.
        bias: float32 ``[C]``.
        regularisation: The chosen strength.
        trials: All trials, from the strongest to the weakest.
        seconds: Wall time of the fit and the choice.
        notes: Notes for the user.
    """

    task: TaskName
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    regularisation: float
    trials: tuple[Trial, ...]
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return next(trial for trial in self.trials if trial.regularisation == self.regularisation)

    def outputs(self, features: Rows) -> NDArray[np.float32]:
        """Logits or targets ``[N, C]`` of features ``[N, D]``."""
        result = np.empty((features.shape[0], len(self.bias)), np.float32)
        for place, chunk in chunks_of(features, len(self.bias)):
            result[place] = chunk @ self.weight + self.bias
        return result

    def table(self) -> Table:
        """The trials as a table; the chosen one has a star."""
        metrics = TASKS[self.task].metrics
        columns = [
            "regularisation",
            "held-out loss",
            *(f"{part} {m.title}" for part in ("train", "val") for m in (metrics[0], metrics[-1])),
        ]
        table = new_table("exact solver: linear heads tried", *columns, "", numeric=tuple(columns))
        for trial in self.trials:
            values = [part[m.name] for part in (trial.train, trial.val) for m in (metrics[0], metrics[-1])]
            remarks = ["*"] if trial is self.best else []
            remarks += [] if trial.converged else ["not converged"]
            values.insert(0, math.nan if trial.held_out is None else trial.held_out)
            table.add_row(f"{trial.regularisation:g}", *(f"{value:.4f}" for value in values), " ".join(remarks))
        return table

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``run.json``, without the weights."""
        return {
            "solver": "exact",
            "regularisation": self.regularisation,
            "chosen_by": "validation" if self.best.held_out is None else "cross-validation",
            "trials": [trial.to_json() for trial in self.trials],
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }
