"""A bake-off under shift: measured once, shown in a column, and said where only corrupted images tell runs apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import toolkit.bakeoff.shift
from tests.bakeoff.conftest import row, trial
from tests.explain.page import Page
from toolkit.bakeoff import BakeOff, Comparison, bake_off, comparison_table
from toolkit.bakeoff.shift import shift_differences, with_shift
from toolkit.config import Config
from toolkit.engine.shift import Shift, ShiftLoss
from toolkit.explain import comparison_statements, write_comparison

Found = Callable[..., BakeOff]


def shift(value: float, clean: float = 0.95, severities: tuple[int, ...] = (3,)) -> Shift:
    losses = tuple(ShiftLoss("blur", severity, value, clean - value, 0.01) for severity in severities)
    means = tuple(replace(loss, corruption=None) for loss in losses)
    mean = ShiftLoss(None, None, value, clean - value, 0.01)
    return Shift({"top1": clean}, "top1", 150, 1, severities, losses, means, mean)


def shifted(candidate: str, scores: Sequence[float], values: Sequence[float]) -> Comparison:
    made = row(candidate, scores)
    return replace(made, trials=tuple(replace(t, shift=shift(v)) for t, v in zip(made.trials, values, strict=True)))


@pytest.fixture
def alike(found: Found) -> BakeOff:
    """Two candidates with equal scores, of which one loses 20 points more under shift; a third one lags anyway."""
    rows = [
        shifted("linear_probe", (0.95, 0.94, 0.96), (0.80, 0.81, 0.80)),
        shifted("all_stages", (0.95, 0.93, 0.96), (0.60, 0.61, 0.61)),
        shifted("scratch", (0.5, 0.51, 0.49), (0.3, 0.31, 0.3)),
    ]
    return replace(found(rows), severities=(3,))


def test_ties_that_corrupted_images_break_are_said_in_one_sentence(alike: BakeOff) -> None:
    (said,) = [words for words in comparison_statements(alike) if words.startswith("Under shift")]
    assert said.startswith(
        "Under shift, on corrupted images, a candidate that cannot be distinguished from linear_probe differs: "
        "all_stages is 19.7 points worse (95 % interval 18.0 to 21.3)."
    )
    assert "scratch" not in said


def test_nothing_is_said_if_they_are_alike_there_too(found: Found) -> None:
    rows = [
        shifted("linear_probe", (0.95, 0.94, 0.96), (0.80, 0.70, 0.75)),
        shifted("all_stages", (0.95, 0.93, 0.96), (0.79, 0.72, 0.73)),
    ]
    assert not [words for words in comparison_statements(found(rows)) if "shift" in words]


def test_the_difference_is_paired_over_the_seeds(alike: BakeOff) -> None:
    first = shift_differences(alike.rows, 150)[0]
    assert (first.other, first.seeds, first.verdict) == ("all_stages", 3, "clear")
    assert first.mean == pytest.approx((0.20 + 0.20 + 0.19) / 3)
    assert shift_differences([row("linear_probe", (0.9,)), row("scratch", (0.5,))], 150) == []


def test_table_json_and_page_have_a_column(alike: BakeOff, found: Found, tmp_path: Path) -> None:
    console = Console(width=200)
    with console.capture() as printed:
        console.print(comparison_table(alike.rows))
        console.print(comparison_table([row("linear_probe", (0.9,))]))
    assert printed.get().count("under shift (lost)") == 1
    assert "0.803 (0.147)" in printed.get()
    values = json.loads(json.dumps(alike.to_json()))
    assert values["rows"][0]["under_shift"] == pytest.approx(0.8033, abs=1e-4)
    assert values["rows"][0]["runs"][0]["shift"]["severities"] == values["severities"] == [3]
    assert values["shift_differences"][0]["other"] == "all_stages"
    page = Page(write_comparison(alike).read_text(encoding="utf-8"))
    assert "80.3 % (14.7)" in page.text
    assert "--shift --severities 3" in page.text
    plain = found([row("linear_probe", (0.9, 0.8))])
    assert "shift" not in Page(write_comparison(plain).read_text(encoding="utf-8")).text
    assert "shift" not in json.dumps(plain.to_json())


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[int, ...]] = []

    def measure(run: Any, images: Any, severities: tuple[int, ...]) -> Shift:
        measured.append(severities)
        return shift(0.7, severities=severities)

    objective = SimpleNamespace(task=SimpleNamespace(main=SimpleNamespace(title="top-1")))
    monkeypatch.setattr(toolkit.bakeoff.shift, "measure_shift", measure)
    monkeypatch.setattr(toolkit.bakeoff.shift, "load_trained", lambda folder: SimpleNamespace(objective=objective))
    monkeypatch.setattr(toolkit.bakeoff.shift, "_images", lambda run, sets: None)
    known = trial("linear_probe", 0, 0.9, folder=tmp_path)
    for severities in ((3,), (3,), (1, 5), (1, 5)):
        done = with_shift({"linear_probe": [known]}, severities)["linear_probe"][0]
        assert done.shift == shift(0.7, severities=severities)
    assert measured == [(3,), (1, 5)]
    (tmp_path / "shift.json").write_text("{", encoding="utf-8")
    with_shift({"linear_probe": [known]}, (1, 5))
    assert len(measured) == 3


def test_a_run_that_cannot_be_measured_costs_no_other_its_place(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"linear_probe": [trial("linear_probe", 0, 0.9, folder=tmp_path)]}
    assert with_shift(gone, (3,)) == gone
    assert "linear_probe, seed 0, cannot be measured under shift" in " ".join(capsys.readouterr().err.split())
    rows = [row("linear_probe", (0.9, 0.8)), shifted("all_stages", (0.9, 0.7), (0.5, 0.4))]
    some = replace(found(rows), severities=(3,))
    assert some.shift_differences == []
    assert "45.0 % (50.0)" in Page(write_comparison(some).read_text(encoding="utf-8")).text


@pytest.mark.slow
def test_real_runs_are_measured_after_the_training(make: Callable[..., Config]) -> None:
    found = bake_off(make(), [], seeds=1, apart=False, severities=(5,))
    for each in found.rows:
        (done,) = each.trials
        assert done.shift is not None
        assert done.shift.clean == pytest.approx(done.score)
        assert done.shift.severities == found.severities == (5,)
