"""The documentation: every YAML in it is a part of a config, every link leads somewhere, every command is there."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_layers import LAYERS
from toolkit.commands.app import make_parser
from toolkit.commands.cli import COMMANDS
from toolkit.config import make_config
from toolkit.core.included import included_configs

REPO = Path(__file__).resolve().parents[1]
PAGES = {str(path.relative_to(REPO)): path for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"))}
TRANSLATED = tuple(name.removesuffix("_zh.md") for name in PAGES if name.endswith("_zh.md"))
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
    for name in re.findall(r"\b((?:tools|benchmarks)/[a-z]\w*\.py|configs/\w+\.yaml)", text):
        assert (REPO / name).is_file(), name


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_are_there(page: str) -> None:
    """Each exists, takes its options, and finds the included config it names; one name of the command on all pages."""
    text = PAGES[page].read_text(encoding="utf-8")
    lines = re.findall(r"paddle-finetune ([a-z_]+)([^\n`#|]*)", "\n".join(_commands_in(text)))
    for name, words in lines:
        assert name in COMMANDS, name
        parser = make_parser("", target=COMMANDS[name].target, timeout=COMMANDS[name].timeout)
        COMMANDS[name].arguments(parser)
        assert set(re.findall(r"(?<= )--?[a-z][\w-]*", words)) <= set(parser._option_string_actions), words
        for config in re.findall(r" -c ([a-z_0-9]+)(?= |$)", words):
            assert config in included_configs(), config
    assert not re.search(r"python tools/(?!NAME)", text) or page in ("README.md", "README_zh.md")


def _commands_in(text: str) -> list[str]:
    """Blocks of commands, and code in the text."""
    return [*re.findall(r"```bash\n(.*?)```", text, re.DOTALL), *re.findall(r"`(paddle-finetune [^`]+)`", text)]


@pytest.mark.parametrize("page", PAGES)
def test_the_files_it_names_are_there(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:toolkit|tests|tools|benchmarks|configs|docs)/[\w./*-]*)`", text))
    for folder, row in re.findall(r"in `(toolkit/\w+/)`: (.*?) \|", text):
        named |= {folder + name for name in re.findall(r"`([\w/]+\.py)`", row)}
    assert len(named) > 40 or page != "CONTRIBUTING.md"
    assert not [name for name in named if not list(REPO.glob(name.rstrip("/")))]


def test_the_layers_of_contributing_are_those_of_the_code() -> None:
    rows = rows_of(PAGES["CONTRIBUTING.md"].read_text(encoding="utf-8"))
    assert {f"toolkit.{row[1]}": int(row[0]) for row in rows if row[0].isdigit()} == LAYERS
    begin, end = ([row[0] for row in rows].index(name) for name in ("build, source", "to add"))
    rooms = {name.rstrip("/") for row in rows[begin:end] for name in row[0].split(", ")}
    folder = REPO / "toolkit" / "engine"
    assert rooms == {path.stem for path in folder.iterdir() if not path.name.startswith("__")}


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


def rows_of(text: str) -> list[list[str]]:
    """Cells of all rows of tables, without bold and code marks."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("*", "").replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def numbers_in(text: str) -> list[float]:
    return [float(word) for word in re.findall(r"\d+(?:\.\d+)?", text)]


def test_the_speed_table_is_that_of_the_results() -> None:
    results = (REPO / "benchmarks" / "results.md").read_text(encoding="utf-8").split("\n## ")[1]
    measured = {row[0]: row for row in rows_of(results) if len(row) == 6}
    page = {row[0]: row[1:] for row in rows_of(PAGES["README.md"].read_text(encoding="utf-8")) if len(row) == 3}
    beside = {
        "this toolkit, ONNX Runtime / Paddle Inference": ("ours, ONNX Runtime", "ours, Paddle Inference"),
        "with export, report and VisualDL, ONNX Runtime": ("ours, ONNX Runtime, with export, report and VisualDL",),
        "Keras 3 on TensorFlow": ("Keras 3 on TensorFlow",),
        "PyTorch": ("PyTorch + torchvision",),
    }
    for title, names in beside.items():
        seconds, accuracy = page[title]
        assert numbers_in(seconds) == [round(float(measured[name][1]), 1) for name in names]
        assert {accuracy} == {measured[name][4] for name in names}


def test_the_usual_recipe_is_ahead_where_the_page_says_so() -> None:
    """README's table beside the runs: the best plan of seven, the usual recipe, and the advised one, of one seed."""
    scores: dict[tuple[str, str, int], dict[str, float]] = defaultdict(dict)
    for line in (REPO / "benchmarks" / "calibration.jsonl").read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        if run["seed"] == 0 and "+" not in run["preset"]:
            preset = run["preset"]
            scores[run["set"], run["network"], run["train_images"]][preset] = run["score"]
    sets = {"ants": "ants_bees", "CUB": "CUB_200_2011_mini", "flow": "flower_photos", "ches": "chest_xray"}
    table = PAGES["README.md"].read_text(encoding="utf-8").partition("### Against the usual recipe")[2]
    rows = [row for row in rows_of(table.partition("## Commands")[0])[2:] if len(row) == 7]
    assert len(rows) == 5
    ahead = []
    for title, *cells in rows:
        name = next((known for begin, known in sets.items() if title.startswith(begin)), "eurosat_rgb")
        for network, (best, advised, usual) in (("mobilenet_v2", cells[:3]), ("squeezenet1_1", cells[3:])):
            found = scores[name, network, int(numbers_in(title)[-1])]
            plans = {preset: score for preset, score in found.items() if preset != "usual"}
            (best, its_preset), (advised, advice) = best.split(), advised.split()
            assert float(best) == round(plans[its_preset], 3) == round(max(plans.values()), 3)
            assert (float(advised), float(usual)) == (round(plans[advice], 3), round(found["usual"], 3))
            if found["usual"] > plans[its_preset]:
                ahead.append((title, found["usual"] - plans[its_preset], found["usual"] - plans[advice]))
    ((title, over_best, over_advised),) = ahead
    assert title.startswith("flowers")
    words = (
        f"flowers with SqueezeNet, by {100 * over_best:.1f} point over the best plan and {100 * over_advised:.1f} over"
    )
    assert words in " ".join(PAGES["README.md"].read_text(encoding="utf-8").split())


def test_figures_of_the_advisor_are_those_of_the_calibration() -> None:
    text = (REPO / "benchmarks" / "calibration.md").read_text(encoding="utf-8")
    rules = {row[0]: row[1:] for row in rows_of(text) if len(row) == 4}
    page = {row[0]: row[1:] for row in rows_of(PAGES["docs/advisor.md"].read_text(encoding="utf-8")) if len(row) == 3}
    for begin, rule in (
        ("the installed kind of rule", "branches"),
        ("multi_stage_probe for all", "one preset for all"),
        ("all_stages for all", "always all_stages"),
        ("most_stages for all", "always most_stages"),
        ("the cell's own preset", "matrix"),
        ("the same, with nearest neighbours", "matrix, by nearest neighbours alone"),
    ):
        right, regret = next(cells for title, cells in page.items() if title.startswith(begin))
        assert numbers_in(right) == numbers_in(rules[rule][1])
        assert abs(float(regret) - float(rules[rule][0])) <= 0.0501
    known = re.search(r"says little: (\d+)% and ([\d.]+)\. (\d+) results in (\d+) situations", text)
    assert known is not None
    words = " ".join(PAGES["docs/advisor.md"].read_text(encoding="utf-8").split())
    assert f"the rule is right in {known[1]} %, with a regret of {float(known[2]):.1f}" in words
    assert f"{known[3]} runs without regularisers in {known[4]} situations" in words
