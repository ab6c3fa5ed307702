"""Every shipped config: parsed, described in its header, and its plan resolved on its network."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from pathlib import Path

import pytest

from toolkit.commands.cli import COMMANDS
from toolkit.config import load_config, plan_of
from toolkit.core.stages import StageInfo

REPO = Path(__file__).resolve().parents[1]
CONFIGS = {path.stem: path for path in sorted((REPO / "configs").glob("*.yaml"))}
MATRIX = ("small_similar", "small_different", "large_similar", "large_different")
HEADER_KEYS = ("Purpose", "Command", "Expected", "Measured")
MOST_LINES = 25


def header_of(text: str) -> dict[str, str]:
    """The ``# Key: text`` entries of a header, continuation lines joined; the first line is under ``title``."""
    header: dict[str, str] = {}
    key = "title"
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        found = re.match(r"# ([A-Z]\w+): +(.*)", line)
        key, words = found.groups() if found else (key, line.lstrip("# "))
        header[key] = f"{header[key]}\n{words}" if key in header else words
    return header


@lru_cache
def stages_of(network: str, image_size: int | None) -> list[StageInfo]:
    from toolkit.zoo import create_network

    made = create_network(network, num_classes=5, pretrained=False)
    return made.describe(image_size or made.spec.input_size)


def test_the_promised_configs_are_there() -> None:
    promised = {"quickstart", "quickstart_source", "cub200", "flowers102", "cifar10", "folder", "auto", *MATRIX}
    assert promised <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_parses(name: str) -> None:
    assert load_config(CONFIGS[name]).name == name


@pytest.mark.parametrize("name", CONFIGS)
def test_its_header_says_what_one_wants_to_know(name: str) -> None:
    header = header_of(CONFIGS[name].read_text(encoding="utf-8"))
    assert header["title"].startswith(f"{name}: ")
    assert [key for key in header if key != "title"] == list(HEADER_KEYS)
    assert all(header.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_commands_in_its_header_work(name: str) -> None:
    """They name the config (``folder``: a folder), which takes every override in the text."""
    text = CONFIGS[name].read_text(encoding="utf-8")
    program, command, *arguments = shlex.split(header_of(text)["Command"].splitlines()[0])
    assert (program, command) == ("paddle-finetune", "train")
    assert arguments[:2] == ["-c", name] or (name, arguments) == ("folder", ["data/my_images"])
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for override in re.findall(r"(?<=[ (])(?:\w+\.)*\w+=[\w./]+\b", comments):
        load_config(CONFIGS[name], [override])
    for named in re.findall(r"paddle-finetune (\w+)", comments):
        assert named in COMMANDS


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_short(name: str) -> None:
    lines = CONFIGS[name].read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip() and not line.lstrip().startswith("#")]) <= MOST_LINES


@pytest.mark.parametrize("name", CONFIGS)
def test_its_plan_resolves(name: str) -> None:
    from toolkit.config import TransferConfig
    from toolkit.transfer import resolve_plan

    config = load_config(CONFIGS[name])
    stages = stages_of(config.model.name, config.data.image_size)
    beside = MATRIX if config.transfer.preset == "auto" else config.transfer.compare
    own = () if config.transfer.preset == "auto" else (config.transfer,)
    for wishes in (*own, *(TransferConfig(preset=preset) for preset in beside)):
        plan = resolve_plan(wishes, config.train, stages)
        assert plan.epochs >= 1
        assert plan.frozen <= (plan.cut or len(stages))
        assert [note for note in plan.notes if not note.startswith("head first")] == []


@pytest.mark.parametrize("name", MATRIX)
def test_a_cell_of_the_matrix_is_what_its_name_says(name: str) -> None:
    assert load_config(CONFIGS[name]).transfer.preset == plan_of(name)


def test_the_quickstart_trains_its_source_first() -> None:
    target = load_config(CONFIGS["quickstart"])
    source = load_config(target.model.pretrained.config)  # type: ignore[union-attr]
    assert source.name == "quickstart_source"
    assert (source.data.format, target.data.format, source.model.pretrained) == (
        "digits",
        "digits",
        False,
    )  # no download
    assert source.model.name == target.model.name
    assert source.data.image_size == target.data.image_size
    assert not set(source.data.classes or ()) & set(target.data.classes or ())


def test_headers_are_read() -> None:
    text = "# a: title\n# Purpose:  this\n#           and that\n# Measured: not yet\nmodel: x\n# Late: no\n"
    assert header_of(text) == {"title": "a: title", "Purpose": "this\nand that", "Measured": "not yet"}
