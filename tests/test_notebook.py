"""The notebook of ``docs/``: executed as it is, shown as recorded."""

from __future__ import annotations

import os
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.test_options_page import load

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
REPO = Path(__file__).resolve().parents[1]
PAGES = ("docs/transfer_learning.ipynb", "docs/transfer_learning_zh.ipynb")
MOST_BYTES = 600_000
WAYS = ("linear probe", "fine-tuned", "from scratch")


def read(name: str) -> Any:
    return nbformat.read(REPO / name, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return list(chain.from_iterable(cell.outputs for cell in code_cells(notebook)))


def kinds(cell: Any) -> set[str]:
    """What a cell shows, without text that only says what is being done."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def table(notebook: Any, columns: int) -> dict[str, list[float]]:
    """Return the numbers of the table with this many columns that compares the three ways."""
    for text in (output.get("data", {}).get("text/plain", "") for output in outputs(notebook)):
        rows = [re.findall(rf"^{way} +((?:[\d.]+ *)+)$", text, re.MULTILINE) for way in WAYS]
        if all(rows) and len(rows[0][0].split()) == columns:
            return {way: [float(number) for number in row[0].split()] for way, row in zip(WAYS, rows, strict=True)}
    raise AssertionError(f"no table of {columns} columns")


def check_what_is_said(notebook: Any) -> None:
    """What the text says about the numbers."""
    few = {way: row[0] for way, row in table(notebook, 1).items()}
    many = table(notebook, 3)
    for first in (few, {way: row[0] for way, row in many.items()}):
        assert min(first["linear probe"], first["fine-tuned"]) > first["from scratch"] + 0.05
    lead = [tuned - probe for tuned, probe in zip(many["fine-tuned"], many["linear probe"], strict=True)]
    assert lead[0] < 0.03
    assert lead[2] > max(lead[0], -0.005)
    gap = [tuned - scratch for tuned, scratch in zip(many["fine-tuned"], many["from scratch"], strict=True)]
    assert gap[2] < gap[0]


@pytest.mark.parametrize("page", PAGES)
def test_it_is_recorded_without_red_boxes(page: str) -> None:
    notebook, text = read(page), (REPO / page).read_text(encoding="utf-8")
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert len(text) < MOST_BYTES
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
    assert "\\r" not in text
    assert not [cell for cell in notebook.cells if "execution" in cell.metadata]
    shown = chain.from_iterable(map(kinds, code_cells(notebook)))
    assert {"image/png", "text/html"} <= set(shown)
    check_what_is_said(notebook)


def test_the_chinese_one_has_the_same_cells() -> None:
    english, chinese = map(read, PAGES)
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in chinese.cells]
    assert [cell.source for cell in code_cells(english)] == [cell.source for cell in code_cells(chinese)]
    assert [cell.outputs for cell in code_cells(english)] == [cell.outputs for cell in code_cells(chinese)]
    for one, other in zip(english.cells, chinese.cells, strict=True):
        if one.cell_type == "markdown":
            assert re.search(r"[\u4e00-\u9fff]", other.source)
            assert [len(mark) for mark in re.findall(r"^#+", one.source, re.MULTILINE)] == [
                len(mark) for mark in re.findall(r"^#+", other.source, re.MULTILINE)
            ]


@pytest.mark.slow
def test_it_runs_and_shows_what_is_recorded(tmp_path: Path) -> None:
    recorded = read(PAGES[0])
    notebook = load("make_notebooks").executed(read(PAGES[0]), tmp_path)
    assert not [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert [kinds(cell) for cell in code_cells(notebook)] == [kinds(cell) for cell in code_cells(recorded)]
    check_what_is_said(notebook)
    assert (tmp_path / ".cache" / "paddle-finetune").is_dir()
    assert not [path for path in (REPO / "docs").iterdir() if path.name == "runs"]
    assert os.environ.get("HOME") != str(tmp_path)
