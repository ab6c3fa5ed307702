"""Show predictions of a model next to the true labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from rich.table import Table

from toolkit.core.console import new_table
from toolkit.data import ImageSet
from toolkit.data.pool import read_one
from toolkit.deploy.image_predictor import ImagePredictor
from toolkit.deploy.prediction import Prediction
from toolkit.tasks import TASKS, Output

_TITLE = "predictions of the exported model"
_Truth: TypeAlias = "str | list[str] | dict[str, float]"


def show_examples(predictor: ImagePredictor, images: ImageSet, count: int) -> tuple[list[dict[str, Any]], Table]:
    """Predict some labelled images.

    Args:
        predictor: The model.
        images: Images labelled for the model's task, with the model's class names.
        count: Number of images, >= 1, spread evenly; all if there are fewer.

    Returns:
        The ``to_dict`` of each prediction with its ``truth`` (a name, a list of names, or numbers by target), and a
        table.
    """
    form = _FORMS[TASKS[predictor.task].outputs]
    rows = [int(row) for row in np.linspace(0, len(images) - 1, min(count, len(images)))]
    pixels, names = (
        [read_one(partial(images.read, row), images.path(row)) for row in rows],
        [images.path(row) for row in rows],
    )
    found = predictor.predict(pixels, topk=2, names=names)
    truths = [form.truth(images.labels[row], predictor.classes) for row in rows]
    table = new_table(_TITLE, "image", *form.columns, numeric=form.numeric)
    for prediction, truth in zip(found, truths, strict=True):
        for cells in form.cells(prediction, truth):
            table.add_row(prediction.path, *cells)
    return [{**found[i].to_dict(), "truth": truth} for i, truth in enumerate(truths)], table


def _class_truth(label: Any, classes: Sequence[str]) -> _Truth:
    return classes[int(label)]


def _label_truth(label: Any, classes: Sequence[str]) -> _Truth:
    return [name for name, there in zip(classes, label, strict=True) if there > 0.5]


def _value_truth(label: Any, classes: Sequence[str]) -> _Truth:
    return {name: float(f"{value:.7g}") for name, value in zip(classes, label, strict=True)}


def _class_cells(prediction: Prediction, truth: Any) -> list[tuple[str, ...]]:
    mark = "" if prediction.label[0] == truth else "  (wrong)"
    return [(truth, prediction.label[0] + mark, f"{prediction.confidence[0]:.3f}")]


def _label_cells(prediction: Prediction, truth: Any) -> list[tuple[str, ...]]:
    mark = "" if set(prediction.label) == set(truth) else "  (wrong)"
    confidences = ", ".join(f"{confidence:.3f}" for confidence in prediction.confidence)
    return [(", ".join(truth) or "none", (", ".join(prediction.label) or "none") + mark, confidences)]


def _value_cells(prediction: Prediction, truth: Any) -> list[tuple[str, ...]]:
    return [
        (target, f"{truth[target]:.5g}", f"{value:.5g}", f"{value - truth[target]:+.3g}")
        for target, value in prediction.values.items()
    ]


@dataclass(frozen=True)
class _Form:
    """How to show examples of one task.

    Attributes:
        truth: Returns the truth, given an image's label and the names.
        columns: Columns of the table after ``image``.
        numeric: Columns with numbers.
        cells: Returns rows of the table, given a prediction and the truth.
    """

    truth: Callable[[Any, Sequence[str]], _Truth]
    columns: tuple[str, ...]
    numeric: tuple[str, ...]
    cells: Callable[[Prediction, Any], list[tuple[str, ...]]]


_FORMS: Mapping[Output, _Form] = MappingProxyType(
    {
        "class": _Form(_class_truth, ("is", "predicted", "confidence"), ("confidence",), _class_cells),
        "label": _Form(_label_truth, ("is", "predicted", "confidence"), (), _label_cells),
        "target": _Form(
            _value_truth, ("target", "is", "predicted", "error"), ("is", "predicted", "error"), _value_cells
        ),
    }
)
