"""Predictions, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from toolkit.core.console import new_table
from toolkit.tasks import TASKS, Output, TaskName

THRESHOLD = 0.5
"""Multilabel: a label is predicted if its probability is above this."""
_Row: TypeAlias = "npt.NDArray[np.float32]"


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image. Attributes of other tasks are empty.

    Attributes:
        path: The file, or the name of an image in memory.
        label: Classification: the most likely classes. Multilabel: the labels above the threshold. Most likely first.
        confidence: Probabilities of ``label``, in [0, 1].
        scores: Multilabel: the most likely labels and their probabilities, above the threshold or not, best first.
        values: Regression: the value of each target, in its own unit.
        task: The task.
        error: Why the file could not be read, or empty; if set, only ``path`` and ``task`` are set as well.
    """

    path: str
    label: list[str] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    task: TaskName = "classification"
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns:
            Classification: ``{"path": ..., "label": [...], "confidence": [...]}``; multilabel: the same with
            ``"scores": {label: number}``; regression: ``{"path": ..., "values": {target: number}}``; for an unreadable
            file ``{"path": ..., "error": ...}``.
        """
        if self.error:
            return {"path": self.path, "error": self.error}
        return {key: getattr(self, key) for key in _FORMS[TASKS[self.task].outputs].keys}


def read_outputs(
    task: TaskName, path: str, row: _Row, names: Sequence[str], topk: int, threshold: float = THRESHOLD
) -> Prediction:
    """Convert the outputs for one image to a prediction.

    Args:
        task: What the outputs are.
        path: Name of the image.
        row: float32 ``[len(names)]``: probabilities, or values in the targets' units.
        names: Names of the classes, labels or targets.
        topk: Number of classes or scores to keep, best first; all if there are fewer. Ties keep their order.
        threshold: Multilabel: labels above this probability are predicted.
    """
    return _FORMS[TASKS[task].outputs].read(path, row, names, topk, threshold)


def _read_classes(path: str, row: _Row, names: Sequence[str], topk: int, _threshold: float) -> Prediction:
    best = _ranked(row)[:topk]
    return Prediction(path, [names[i] for i in best], [_rounded(row[i]) for i in best])


def _read_labels(path: str, row: _Row, names: Sequence[str], topk: int, threshold: float) -> Prediction:
    order = _ranked(row)
    predicted = [i for i in order if row[i] > threshold]
    return Prediction(
        path,
        [names[i] for i in predicted],
        [_rounded(row[i]) for i in predicted],
        scores={names[i]: _rounded(row[i]) for i in order[:topk]},
        task="multilabel",
    )


def _read_values(path: str, row: _Row, names: Sequence[str], _topk: int, _threshold: float) -> Prediction:
    values = {name: float(f"{value:.7g}") for name, value in zip(names, row, strict=True)}
    return Prediction(path, values=values, task="regression")


def _ranked(row: _Row) -> list[int]:
    return [int(index) for index in np.argsort(-row, kind="stable")]


def _rounded(probability: np.float32) -> float:
    return float(f"{probability:.6g}")


_Line: TypeAlias = "tuple[Any, ...]"


def _class_lines(prediction: Prediction) -> list[_Line]:
    pairs = zip(prediction.label, prediction.confidence, strict=True)
    return [(rank, label, confidence) for rank, (label, confidence) in enumerate(pairs, start=1)]


def _label_lines(prediction: Prediction) -> list[_Line]:
    """List the labels above the threshold and the best scores; both are prefixes of one ranking."""
    predicted = dict(zip(prediction.label, prediction.confidence, strict=True))
    ranking = {**prediction.scores, **predicted}
    pairs = sorted(ranking.items(), key=lambda pair: -pair[1])
    return [(rank, label, score, int(label in predicted)) for rank, (label, score) in enumerate(pairs, start=1)]


def _value_lines(prediction: Prediction) -> list[_Line]:
    return list(prediction.values.items())


def _class_cells(line: _Line) -> tuple[Text | str, ...]:
    rank, label, confidence = line
    return Text(label, style="bold" if rank == 1 else "", overflow="fold"), f"{confidence:.4f}"


def _label_cells(line: _Line) -> tuple[Text | str, ...]:
    _, label, score, predicted = line
    return (
        Text(label, style="bold" if predicted else "dim", overflow="fold"),
        f"{score:.4f}",
        "yes" if predicted else "",
    )


def _value_cells(line: _Line) -> tuple[Text | str, ...]:
    target, value = line
    return Text(target, overflow="fold"), f"{value:.7g}"


@dataclass(frozen=True)
class _Form:
    """How to read and show predictions of one task.

    Attributes:
        read: Converts outputs to a prediction.
        keys: Keys in JSON.
        header: Columns of the CSV after ``path``.
        lines: Rows of the CSV after ``path``.
        columns: Columns of the table after ``image``; ``numeric`` ones are right-aligned.
        cells: Converts a line to cells of the table.
    """

    read: Callable[[str, _Row, Sequence[str], int, float], Prediction]
    keys: tuple[str, ...]
    header: tuple[str, ...]
    lines: Callable[[Prediction], list[_Line]]
    columns: tuple[str, ...]
    numeric: tuple[str, ...]
    cells: Callable[[_Line], tuple[Text | str, ...]]


_FORMS: Mapping[Output, _Form] = MappingProxyType(
    {
        "class": _Form(
            _read_classes,
            ("path", "label", "confidence"),
            ("rank", "label", "confidence"),
            _class_lines,
            ("class", "confidence"),
            ("confidence",),
            _class_cells,
        ),
        "label": _Form(
            _read_labels,
            ("path", "label", "confidence", "scores"),
            ("rank", "label", "confidence", "predicted"),
            _label_lines,
            ("label", "confidence", "predicted"),
            ("confidence",),
            _label_cells,
        ),
        "target": _Form(
            _read_values,
            ("path", "values"),
            ("target", "value"),
            _value_lines,
            ("target", "value"),
            ("value",),
            _value_cells,
        ),
    }
)


def _form(predictions: Sequence[Prediction]) -> _Form:
    return _FORMS[TASKS[predictions[0].task].outputs if predictions else "class"]


def predictions_table(predictions: Sequence[Prediction], title: str = "Predictions") -> Table:
    """Tabulate predictions, one row per image and class, label or target, best first; skips unreadable files."""
    form = _form(predictions)
    table = new_table(title, "image", *form.columns, numeric=form.numeric)
    for prediction in predictions:
        lines = form.lines(prediction)
        for index, line in enumerate(lines):
            name = Text(_printable(prediction.path) if index == 0 else "", overflow="fold")
            table.add_row(name, *form.cells(line), end_section=index == len(lines) - 1)
    return table


def predictions_csv(predictions: Sequence[Prediction]) -> str:
    """Return CSV with one row per image and class, label or target.

    Returns:
        Classification: ``path,rank,label,confidence``, best first, rank from 1. Multilabel: the same with
        ``predicted``, 1 for labels above the threshold, else 0. Regression: ``path,target,value``. An unreadable file
        has one row with only its path.
    """
    form = _form(predictions)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("path", *form.header))
    for prediction in predictions:
        lines = [("",) * len(form.header)] if prediction.error else form.lines(prediction)
        writer.writerows((_printable(prediction.path), *line) for line in lines)
    return buffer.getvalue()


def _printable(text: str) -> str:
    r"""Write lone surrogates, which occur in file names that are not UTF-8 and cannot be printed, as ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
