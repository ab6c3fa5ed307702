"""A fine-tuned network and its result, as Python and notebooks show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.commands import runs
from toolkit.core.errors import ConfigError
from toolkit.data.corruptions import USUAL_SEVERITIES
from toolkit.data.given import Data
from toolkit.deploy import Predictor, export_job, export_run
from toolkit.engine import Job, RunFolder, RunResult
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.runs.trained import load_trained
from toolkit.pages.notebook import Shown, figures_html, gallery_html, table_html
from toolkit.tasks import TASKS, softmax

if TYPE_CHECKING:
    import pandas

_MANY_CLASSES = 20
"""Confusion tables of more classes are not shown with a result."""


@dataclass(frozen=True, repr=False)
class FineTuned:
    """A fine-tuned network and its result. In a notebook it displays metrics, curves, confusion and mistakes.

    Attributes:
        run: The run's result: folder, metrics of the best and the last epoch, exported model, report.
        job: The job; ``job.network`` holds the weights of the best epoch.
    """

    run: RunResult
    job: Job

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.run.folder

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics of the best epoch on test images or, if there are none, on validation images."""
        return dict(self.run.test if self.run.test is not None else self.run.best)

    @property
    def history(self) -> pandas.DataFrame:
        """One row per epoch: ``train_loss``, ``val_loss``, ``val_top1``, ... as a pandas frame."""
        import pandas

        rows = []
        for line in self._lines:
            row = {key: value for key, value in line.items() if not isinstance(value, (Mapping, list))}
            for split in ("train", "val"):
                row.update({f"{split}_{name}": value for name, value in line.get(split, {}).items()})
            rows.append(row)
        return pandas.DataFrame(rows).set_index("epoch")

    def plot(self) -> Shown:
        """Return the learning curves."""
        from toolkit.explain.figures import learning_curve

        lines = self._lines
        titles = {metric.name: metric.title for metric in TASKS[self.job.config.task].shown(len(self.job.data.classes))}
        first = next(name for name in titles if name != "loss")
        chosen = [("loss", titles["loss"]), (first, titles[first])]
        drawn = [learning_curve(lines, name, title, self.run.best.get("epoch")) for name, title in chosen]
        return Shown("\n".join(image.alt for image in drawn), figures_html(drawn))

    @cached_property
    def outputs(self) -> NDArray[np.float32]:
        """The best epoch's outputs for the evaluation images, ``[N, C]``: before softmax or sigmoid, or values."""
        if self.run.test_outputs is not None:
            return self.run.test_outputs
        batches = FeatureSource(self.job).for_evaluation(self.job.data.evaluation[1])
        return loader_outputs(self.job.network, batches, self.job.config.train)[0]

    def confusion(self) -> pandas.DataFrame:
        """Return how often each true class (rows) was predicted as each class (columns) on the evaluation images.

        Raises:
            ConfigError: The task is not classification.
        """
        import pandas

        from toolkit.explain.statistics import confusions

        true, predicted, _ = self._predicted()
        classes = list(self.job.data.classes)
        matrix = confusions(true, predicted, len(classes))
        frame = pandas.DataFrame(matrix, pandas.Index(classes, name="true"), classes)
        return frame.rename_axis(columns="predicted")

    def mistakes(self, count: int = 12) -> Shown:
        """Return the most confident mistakes on the evaluation images, as pictures and as ``frame``.

        Raises:
            ConfigError: The task is not classification.
        """
        import pandas

        from toolkit.explain.statistics import worst_mistakes
        from toolkit.explain.thumbnails import thumbnail

        true, predicted, confidence = self._predicted()
        images, classes = self.job.data.evaluation[1], self.job.data.classes
        rows = worst_mistakes(confidence, true == predicted, count)
        table = [
            (images.path(row), classes[true[row]], classes[predicted[row]], float(confidence[row])) for row in rows
        ]
        frame = pandas.DataFrame(table, columns=["path", "true", "predicted", "confidence"])
        shown = [
            (thumbnail(images, row), f"{says} {share:.0%}, is {truth}")
            for row, (_, truth, says, share) in zip(rows, table, strict=True)
        ]
        return Shown(frame.to_string() if table else "no mistakes", gallery_html(shown), frame)

    def evaluate(
        self, data: Data | str | Path | None = None, tta: int | None = None, *, shift: bool | Sequence[int] = False
    ) -> dict[str, Any]:
        """Evaluate the best epoch, with the preprocessing and classes it was trained with.

        Args:
            data: Labelled images, all of which are evaluated: data, or a folder, list or table; by default the test
                images of the run or, if there are none, its validation images.
            tta: Number of views of each image to average; by default ``train.tta``.
            shift: Also evaluate under blur, noise, changes of light, JPEG and crops, at these severities, 1 to 5; True:
                1, 3 and 5.

        Returns:
            The metrics, with ``split``, ``images``, the number of images, and, if asked for, ``shift``.

        Raises:
            ToolkitError: The images cannot be read, or their classes are not those of the run.
        """
        path = data.path if isinstance(data, Data) else None if data is None else Path(data)
        severities = USUAL_SEVERITIES if shift is True else tuple(shift or ())
        return dict(runs.evaluate(runs.find_run(self.folder.path, None), path, tta, severities).json)

    def export(self, folder: str | Path | None = None) -> Path:
        """Export the best epoch for serving, and check the exported model against the network; return its folder.

        Args:
            folder: Where to; by default ``inference`` in the run's folder.

        Raises:
            ToolkitError: The model cannot be exported, or gives other results than the network.
        """
        run = load_trained(self.folder, self.job.config.train.device)
        return export_run(run, Path(folder) if folder else self.folder.inference, self.job.config.train.tta)

    def predictor(self, device: str = "auto") -> Predictor:
        """Return a predictor of the exported model, which is exported now if it was not."""
        folder = self.run.inference or export_job(self.job, self.folder.inference)
        return Predictor(folder, device=device)

    def _predicted(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """True classes, predicted classes, and confidences, of the evaluation images."""
        if self.job.data.evaluation[1].has_rows:
            raise ConfigError(f"this is for classification, and the task is {self.job.config.task}")
        probabilities = softmax(self.outputs.astype(np.float64))
        return self.job.data.evaluation[1].labels, probabilities.argmax(1), probabilities.max(1)

    @property
    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.folder.metrics.read_text(encoding="utf-8").splitlines()]

    def __repr__(self) -> str:
        split = self.job.data.evaluation[0]
        shown = TASKS[self.job.config.task].shown(len(self.job.data.classes))
        numbers = ", ".join(f"{metric.title} {self.metrics[metric.name]:.4g}" for metric in shown)
        return f"{self.folder.path}: {numbers} on {len(self.job.data.evaluation[1])} {split} images"

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{self!r}</b></p>", self.plot().html]
        if not self.job.data.evaluation[1].has_rows:
            if len(self.job.data.classes) <= _MANY_CLASSES:
                parts.append(table_html(self.confusion()))
            parts.append(self.mistakes(6).html)
        return "".join(parts)
