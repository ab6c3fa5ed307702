"""What was recognised, for people (a table) and for machines (JSON, CSV)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from toolkit.console import new_table

__all__ = ["Prediction", "predictions_csv", "predictions_table", "rank_classes"]


@dataclass(frozen=True)
class Prediction:
    """The most likely classes of one picture.

    Attributes:
        path: The file, or the name of a picture that is in memory.
        label: Class names, most likely first.
        confidence: Their probabilities, in [0, 1].
    """

    path: str
    label: list[str]
    confidence: list[float]

    def to_dict(self) -> dict[str, Any]:
        """``{"path": ..., "label": [...], "confidence": [...]}``."""
        return asdict(self)


def rank_classes(path: str, probabilities: npt.NDArray[np.float32], labels: Sequence[str], topk: int) -> Prediction:
    """Sort one picture's probabilities.

    Args:
        path: Name of the picture.
        probabilities: float32 ``[len(labels)]``.
        labels: Class names.
        topk: How many to keep; all when there are fewer.

    Returns:
        Best first; of equal ones the earlier class goes first.
    """
    best = np.argsort(-probabilities, kind="stable")[:topk]
    return Prediction(
        path=path,
        label=[labels[index] for index in best],
        confidence=[float(f"{probabilities[index]:.6g}") for index in best],
    )


def predictions_table(predictions: Sequence[Prediction], title: str = "Predictions") -> Table:
    """A table for people: a line a picture and class, best first."""
    table = new_table(title, "image", "class", "confidence", numeric=("confidence",))
    for prediction in predictions:
        for rank, (label, confidence) in enumerate(zip(prediction.label, prediction.confidence, strict=True)):
            name = Text(_printable(prediction.path), overflow="fold") if rank == 0 else Text("")
            table.add_row(
                name,
                Text(label, style="bold" if rank == 0 else "", overflow="fold"),
                f"{confidence:.4f}",
                end_section=rank == len(prediction.label) - 1,
            )
    return table


def predictions_csv(predictions: Sequence[Prediction]) -> str:
    """CSV with a row a picture and class, best first: ``path,rank,label,confidence`` (rank from 1)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("path", "rank", "label", "confidence"))
    for prediction in predictions:
        pairs = zip(prediction.label, prediction.confidence, strict=True)
        for rank, (label, confidence) in enumerate(pairs, start=1):
            writer.writerow((_printable(prediction.path), rank, label, confidence))
    return buffer.getvalue()


def _printable(text: str) -> str:
    r"""A file name that is not UTF-8 holds lone surrogates, which cannot be printed: write them as ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
