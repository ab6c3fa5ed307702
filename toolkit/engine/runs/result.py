"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine.runs.folder import RunFolder


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: The run's folder with all its files.
        best: The task's metrics and ``epoch`` (counted from 1) of the best epoch on the validation images.
        last: The same for the last epoch.
        test: The best epoch's metrics on the test images, if the data set has a test split.
        seconds: Wall time of training, over all sessions.
        parameters: Number of weights: ``total, trainable, frozen`` (in the last phase).
        comparison: A ``Comparison`` for each preset trained in comparison (``transfer.compare``).
        differences: The best of them against each of the others, seed by seed.
        inference: Folder of the exported model; or None.
        examples: Predictions of the exported model, each with its truth.
        report: ``report.html``; or None.
        certainty: How certain the best epoch is, see ``certainty_of``; None if there was no choice.
        test_outputs: The best epoch's outputs for the test images, in order, ``[N, C]``; not in ``to_json``.
    """

    folder: RunFolder
    best: dict[str, Any]
    last: dict[str, Any]
    test: dict[str, float] | None
    seconds: float
    parameters: dict[str, int] = field(default_factory=dict)
    comparison: tuple[Any, ...] = ()
    differences: tuple[Any, ...] = ()
    inference: Path | None = None
    examples: tuple[dict[str, Any], ...] = ()
    report: Path | None = None
    certainty: dict[str, Any] | None = None
    test_outputs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for ``--json`` and ``run.json``."""
        result: dict[str, Any] = {"run_dir": str(self.folder.path), "best": self.best, "last": self.last}
        if self.test is not None:
            result["test"] = self.test
        if self.certainty is not None:
            result["certainty"] = self.certainty
        result.update(seconds=round(self.seconds, 3), parameters=self.parameters)
        if self.comparison:
            result["comparison"] = [row.to_json() for row in self.comparison]
            result["differences"] = [difference.to_json() for difference in self.differences]
        result.update({key: str(path) for key in ("inference", "report") if (path := getattr(self, key)) is not None})
        return {**result, "examples": list(self.examples)} if self.examples else result
