"""Predictions as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
from rich.console import Console

from toolkit.deploy import Prediction, predictions_csv, predictions_table
from toolkit.deploy.prediction import rank_classes

FOUND = [
    Prediction("photos/鸟 1.jpg", ["red-eyed vireo 鸟", "[bold]: a, b"], [0.75, 0.125]),
    Prediction('b".png', ["no", "5"], [0.5, 0.5]),
]


def test_ranking_is_stable_and_clipped() -> None:
    probabilities = np.array([0.25, 0.5, 0.25], np.float32)
    assert rank_classes("x", probabilities, ["a", "b", "c"], 9) == Prediction("x", ["b", "a", "c"], [0.5, 0.25, 0.25])
    assert rank_classes("x", probabilities, ["a", "b", "c"], 1).label == ["b"]


def test_csv_is_tidy() -> None:
    rows = list(csv.DictReader(io.StringIO(predictions_csv(FOUND))))
    assert rows[1] == {"path": "photos/鸟 1.jpg", "rank": "2", "label": "[bold]: a, b", "confidence": "0.125"}
    assert [row["path"] for row in rows] == ["photos/鸟 1.jpg"] * 2 + ['b".png'] * 2
    assert predictions_csv([]) == "path,rank,label,confidence\n"


def test_table_shows_names_as_they_are() -> None:
    console = Console(width=100, file=io.StringIO())
    console.print(predictions_table(FOUND))
    text = console.file.getvalue()
    assert "[bold]: a, b" in text
    assert "鸟 1.jpg" in text
    assert "0.7500" in text
    assert text.index("0.7500") < text.index("0.1250")


def test_a_file_name_that_is_not_utf8_can_be_printed() -> None:
    path = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert "caf\\udce9.jpg" in predictions_csv([Prediction(path, ["a"], [1.0])]).encode("utf-8").decode()
