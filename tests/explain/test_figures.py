"""Figures: well-formed, repeatable, and without traces in matplotlib's settings."""

from __future__ import annotations

import base64
import sys
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from toolkit.explain import measure_calibration
from toolkit.explain.figures import learning_curve
from toolkit.explain.result_figures import reliability_diagram
from toolkit.pages import figures
from toolkit.pages.figures import EmbeddedImage

CALIBRATION = measure_calibration(np.linspace(0.3, 1, 40), np.arange(40) % 3 > 0)


def lines(epochs: int, phases: int = 1) -> list[dict[str, Any]]:
    numbers = {"loss": 1.0, "top1": 0.5}
    return [
        {"epoch": e, "phase": f"p{e * phases // (epochs + 1)}", "train": numbers, "val": numbers}
        for e in range(1, epochs + 1)
    ]


def words(picture: EmbeddedImage) -> str:
    kind, _, data = picture.source.partition(";base64,")
    assert kind == "data:image/svg+xml"
    return " ".join("".join(ElementTree.fromstring(base64.b64decode(data)).itertext()).split())


@pytest.mark.parametrize("metric", ["loss", "top1"])
@pytest.mark.parametrize("epochs", [1, 2, 100])
def test_learning_curve(metric: str, epochs: int) -> None:
    drawn = words(learning_curve(lines(epochs), metric, "the title", best=1))
    for word in ("the title", "epoch", "training", "validation", "best epoch"):
        assert word in drawn
    assert "phase" not in drawn


def test_phases_are_numbered() -> None:
    drawn = words(learning_curve(lines(9, phases=3), "loss", "loss", best=None))
    assert all(f"phase {number}" in drawn for number in (1, 2, 3))
    assert "best epoch" not in drawn


def test_a_loss_that_is_no_number_is_drawn_around() -> None:
    some = lines(3)
    some[1] = {**some[1], "val": {"loss": float("nan"), "top1": float("nan")}}
    assert "validation" in words(learning_curve(some, "loss", "loss", best=2))


def test_reliability_diagram() -> None:
    drawn = words(reliability_diagram(CALIBRATION))
    for word in ("confidence", "accuracy", "images"):
        assert word in drawn


def test_figures_are_repeatable_and_leave_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (reliability_diagram(CALIBRATION) for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before


def test_pyplot_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it is an error now
    assert reliability_diagram(CALIBRATION).source
    assert not {"pyplot", "plt"} & set(dir(figures))
