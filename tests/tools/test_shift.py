"""``eval --shift`` and ``report --shift`` on a run that knows three colours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.explain.page import Page
from tests.tools.test_run_authority import place, trained  # noqa: F401 (fixtures)

Run = Callable[..., tuple[int, str, str]]


def test_eval_prints_a_table_of_losses(place: Path, run_here: Run) -> None:  # noqa: F811
    code, out, said = run_here("eval", "runs/job", "--shift")
    assert code == 0, said
    assert "22 passes over 12 images" in said
    for words in ("severity 3", "as they are", "JPEG", "under shift: top-1", "points lost"):
        assert words in out, (words, out)


def test_the_json_has_every_loss_and_other_images_count(place: Path, run_here: Run) -> None:  # noqa: F811
    code, out, said = run_here("eval", "runs/job", "--shift", "--severities", "5,2", "--data", "data/train", "--json")
    assert code == 0, said
    found = json.loads(out)
    shift = found["shift"]
    assert (found["top1"], found["images"]) == (shift["clean"], shift["images"]) == (1.0, 24)
    assert (shift["severities"], shift["passes"], len(shift["corruptions"])) == ([2, 5], 15, 14)
    by_name = {(row["corruption"], row["severity"]): row for row in shift["corruptions"]}
    assert by_name["blur", 2]["lost"] == 0  # a colour is a colour
    assert by_name["contrast", 5]["lost"] == pytest.approx(1 - by_name["contrast", 5]["value"])


def test_a_report_has_the_section_only_if_asked(place: Path, run_here: Run) -> None:  # noqa: F811
    file = place / "report.html"
    assert run_here("report", "runs/job")[0] == 0
    assert "shift" not in Page(file.read_text(encoding="utf-8")).sections
    code, _, said = run_here("report", "runs/job", "--shift", "--severities", "3")
    assert code == 0, said
    page = Page(file.read_text(encoding="utf-8"))
    assert "shift" in page.sections
    assert "On corrupted images top-1 is" in page.text
    assert "paired over the 12 images (8 passes)" in page.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--severities", "3"), "--severities needs --shift"),
        (("--shift", "--severities", "0,3"), "expected numbers from 1 to 5"),
        (("--shift", "--severities", "most"), "expected numbers from 1 to 5"),
    ],
)
@pytest.mark.parametrize("name", ["eval", "report", "compare"])
def test_severities_are_checked_before_paddle_is_imported(
    run_here: Run,
    name: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    code, _, said = run_here(name, "runs/nothing", *options)
    assert (code, words in said) == (2, True), said
