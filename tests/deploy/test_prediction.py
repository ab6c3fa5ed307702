"""Predictions as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
from rich.console import Console

from toolkit.deploy import Prediction, predictions_csv, predictions_table
from toolkit.deploy.prediction import read_outputs

LABELS = [
    Prediction("1.png", ["b"], [0.75], {"b": 0.75, "a": 0.5}, task="multilabel"),
    Prediction("2.png", ["b", "a", "c"], [0.9, 0.8, 0.7], {"b": 0.9, "a": 0.8}, task="multilabel"),
    Prediction("3.png", [], [], {"c": 0.1}, task="multilabel"),
]
VALUES = [Prediction("鸟.png", values={"width, cm": 12.5, "[b]": -3e-7}, task="regression")]
FOUND = [
    Prediction("photos/鸟 1.jpg", ["red-eyed vireo 鸟", "[bold]: a, b"], [0.75, 0.125]),
    Prediction('b".png', ["no", "5"], [0.5, 0.5]),
]


def test_ranking_is_stable_and_clipped() -> None:
    probabilities = np.array([0.25, 0.5, 0.25], np.float32)
    names = ["a", "b", "c"]
    found = read_outputs("classification", "x", probabilities, names, 9)
    assert found == Prediction("x", ["b", "a", "c"], [0.5, 0.25, 0.25])
    assert read_outputs("classification", "x", probabilities, names, 1).label == ["b"]


def test_labels_are_those_above_the_threshold() -> None:
    scores, names = np.array([0.5, 0.75, 0.25], np.float32), ["a", "b", "c"]
    found = read_outputs("multilabel", "x", scores, names, 2)
    assert found == Prediction("x", ["b"], [0.75], scores={"b": 0.75, "a": 0.5}, task="multilabel")
    assert read_outputs("multilabel", "x", scores, names, 2, 0.9).label == []
    everything = read_outputs("multilabel", "x", scores, names, 1, 0.1)
    assert (everything.label, everything.scores) == (["b", "a", "c"], {"b": 0.75})


def test_values_keep_the_digits_that_float32_has() -> None:
    row = np.array([2024.37, 1234567.0, -1e-7], np.float32)
    found = read_outputs("regression", "x", row, ["year", "number", "small"], 1)
    assert found.values == {"year": 2024.37, "number": 1234567.0, "small": -1e-7}


def test_csv_is_tidy() -> None:
    rows = list(csv.DictReader(io.StringIO(predictions_csv(FOUND))))
    assert rows[1] == {"path": "photos/鸟 1.jpg", "rank": "2", "label": "[bold]: a, b", "confidence": "0.125"}
    assert [row["path"] for row in rows] == ["photos/鸟 1.jpg"] * 2 + ['b".png'] * 2
    assert predictions_csv([]) == "path,rank,label,confidence\n"


def test_csv_of_labels_has_every_picture() -> None:
    lines = predictions_csv(LABELS).splitlines()
    assert lines[0] == "path,rank,label,confidence,predicted"
    assert lines[1:] == [
        "1.png,1,b,0.75,1", "1.png,2,a,0.5,0",
        "2.png,1,b,0.9,1", "2.png,2,a,0.8,1", "2.png,3,c,0.7,1",
        "3.png,1,c,0.1,0",
    ]  # fmt: skip


def test_csv_of_values_is_tidy() -> None:
    rows = list(csv.DictReader(io.StringIO(predictions_csv(VALUES))))
    assert rows[0] == {"path": "鸟.png", "target": "width, cm", "value": "12.5"}
    assert float(rows[1]["value"]) == -3e-7


def test_tables_of_labels_and_values() -> None:
    console = Console(width=100, file=io.StringIO())
    console.print(predictions_table(LABELS))
    console.print(predictions_table(VALUES))
    words = [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]
    assert "1.png b 0.7500 yes" in words
    assert "a 0.5000" in words
    assert "3.png c 0.1000" in words
    assert "鸟.png width, cm 12.5" in words
    assert "[b] -3e-07" in words


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
