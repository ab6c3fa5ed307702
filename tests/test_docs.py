"""The documentation: every YAML in it is a part of a config, every link leads somewhere, every script is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.config import make_config

REPO = Path(__file__).resolve().parents[1]
PAGES = {str(path.relative_to(REPO)): path for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"))}
TRANSLATED = ("README", "docs/training", "docs/advisor", "docs/networks")
JOB = {"name": "docs", "model": {"name": "resnet18"}}
GOES_WITH = {
    "effective_beta": {"train": {"class_weights": "effective"}},
    "focal_gamma": {"train": {"loss": "focal"}},
    "weight_column": {"data": {"format": "csv"}},
    "weighted": {"data": {"format": "csv", "weight_column": "weight"}},
}
"""Word in a piece of a config -> what the whole config says beside it."""


def pieces_of(text: str) -> list[dict[str, Any]]:
    """Pieces of configs: blocks of YAML, and what rows of tables name with its value."""
    found: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    for callback in re.findall(r"^\|[^|]*\| `(\w+: [^`]+)` \|$", text, re.MULTILINE):
        found.append({"callbacks": yaml.safe_load(callback)})
    for section, option in re.findall(r"`(train|data|log|transfer)\.(\w+: [^`]+)`", text):
        found.append({section: yaml.safe_load(option)})
    return found


@pytest.mark.parametrize("page", PAGES)
def test_its_yaml_is_understood(page: str) -> None:
    for piece in pieces_of(PAGES[page].read_text(encoding="utf-8")):
        whole = piece
        for word, beside in GOES_WITH.items():
            if word in str(piece):
                whole = {**whole, **{key: {**values, **whole.get(key, {})} for key, values in beside.items()}}
        make_config({**JOB, **whole}, where=page)


def test_pieces_are_found() -> None:
    text = "| stop | `early_stopping: {patience: 5}` |\n\n`train.lr: auto` and `train.lr`\n```yaml\nseed: 3\n```\n"
    assert pieces_of(text) == [
        {"seed": 3},
        {"callbacks": {"early_stopping": {"patience": 5}}},
        {"train": {"lr": "auto"}},
    ]


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (PAGES[page].parent / path) if path else PAGES[page]
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


@pytest.mark.parametrize("page", PAGES)
def test_its_scripts_and_configs_are_there(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:tools|benchmarks)/\w+\.py|configs/\w+\.yaml)", text):
        assert (REPO / name).is_file(), name


@pytest.mark.parametrize("name", TRANSLATED)
def test_both_languages_say_the_same(name: str) -> None:
    """As far as that can be seen: the same headings, tables and commands."""
    english, chinese = (PAGES[f"{name}{end}.md"].read_text(encoding="utf-8") for end in ("", "_zh"))
    assert shape_of(english) == shape_of(chinese)


def shape_of(text: str) -> dict[str, list[str]]:
    code = re.findall(r"```(?:bash|yaml|python)\n(.*?)```", text, re.DOTALL)
    lines = [re.sub(r"\s*#.*", "", line).strip() for block in code for line in block.splitlines()]
    rows = re.findall(r"^\|(?:[^|]*\|)+$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {
        "headings": re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE),
        "commands": [line for line in lines if line],
        "cells": [str(row.count("|")) for row in rows],
    }


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
