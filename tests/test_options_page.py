"""The page of all options: nothing is missing in either language, and it is the one that its script writes."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, create_model

from toolkit.config import Config, make_config
from toolkit.config.section import Section

REPO = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "zh")


def load(name: str) -> types.ModuleType:
    """A script of ``docs/``, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", REPO / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    return load("make_options")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def keys_of(kind: type[BaseModel], before: str = "") -> set[str]:
    """Dotted keys of a class and of all classes inside it, found without the script."""
    found = set()
    for name, field in kind.model_fields.items():
        found |= {before + name}
        found |= {key for inner in models_in(field.annotation) for key in keys_of(inner, f"{before}{name}.")}
    return found


def rows_of(text: str) -> dict[str, list[str]]:
    """Key -> cells of its row."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def committed(script: types.ModuleType, language: str) -> str:
    text: str = script.PAGES[language].read_text(encoding="utf-8")
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_a_row_that_says_what_it_does(script: types.ModuleType, language: str) -> None:
    rows = rows_of(committed(script, language))
    assert {key.replace("[]", "") for key in rows} == keys_of(Config)
    assert len(keys_of(Config)) > 100
    assert [key for key, cells in rows.items() if len(cells) != 3 or not all(cells)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_up_to_date(script: types.ModuleType, language: str) -> None:
    assert committed(script, language) == script.page(language), "run python docs/make_options.py"


def test_there_is_a_chinese_sentence_for_each_option_and_no_other(script: types.ModuleType) -> None:
    found, parts = script.read_chinese(), list(script.parts())
    assert set(found) == {"sections", "options"}
    assert list(found["options"].keys() ^ {option.key for part in parts for option in part.options}) == []
    assert list(found["sections"].keys() ^ {part.key for part in parts}) == []


def facts_of(sentence: str) -> list[str]:
    """Code and decimal numbers: what both languages write in the same way."""
    code = re.findall(r"`[^`]+`", sentence)
    return sorted({*code, *re.findall(r"\d+\.\d+", re.sub(r"`[^`]+`", "", sentence))})


def test_both_languages_name_the_same_values(script: types.ModuleType) -> None:
    """A sentence that changes in one language only is noticed as far as its code and numbers go."""
    chinese = script.read_chinese()
    differ = []
    for part in script.parts():
        pairs = [(part.key, part.kind.__doc__, chinese["sections"][part.key])]
        pairs += [(option.key, option.field.description, chinese["options"][option.key]) for option in part.options]
        differ += [key for key, english, other in pairs if facts_of(english) != facts_of(other)]
        differ += [key for key, _, other in pairs if not re.search("[\u4e00-\u9fff]", other) and key != "train.device"]
    assert differ == []


def test_defaults_are_those_of_the_config(script: types.ModuleType) -> None:
    rows = rows_of(committed(script, "en"))
    config = make_config({"name": "x", "model": {"name": "resnet18"}}, where="test")
    for key, default in (("train.weight_decay", "0.0001"), ("cache.max_size", "20GB"), ("data.flip", "auto")):
        assert rows[key][1] == f"`{default}`"
    assert config.train.weight_decay == float(rows["train.weight_decay"][1].strip("`"))
    assert make_config({"name": "x", "model": "resnet18", "cache": {"max_size": "20GB"}}, where="test") == config
    assert rows["train.epochs"][:2] == ["integer ≥ 1", "`null`"]
    assert rows["name"][1] == "required"


class Grown(Section):
    """A section with one more option."""

    added: int = 3
    """What it does."""


def test_a_new_option_is_missed_until_it_is_written(script: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = create_model("GrownConfig", __base__=Config, grown=(Grown, Grown()))
    assert keys_of(grown) - keys_of(Config) == {"grown", "grown.added"}
    monkeypatch.setattr(script.parts, "__defaults__", (grown, "", None))
    keys = {option.key for part in script.parts() for option in part.options}
    assert keys - script.read_chinese()["options"].keys() == {"grown", "grown.added"}
    page = script.page("en")
    assert "| `grown.added` | integer | `3` | What it does. |" in page
    assert page != committed(script, "en")
    with pytest.raises(KeyError):
        script.page("zh")


def test_shorter_ways_to_write_a_section_are_accepted(script: types.ModuleType) -> None:
    pieces = re.findall(r"Short form: `(\w+): (\[?)VALUE\]?` for `\w+: \[?{(\w+): VALUE}\]?`", script.page("en"))
    assert {"model", "head", "transfer", "weight_averaging", "remote_monitor", "custom"} < {name for name, *_ in pieces}
    switched = re.findall(r"^## callbacks\.(\w+)[^\n]*\n\n[^\n]*`true` enables", script.page("en"), re.MULTILINE)
    assert {"early_stopping", "csv_logger", "model_checkpoint"} <= set(switched)
    for name in switched:
        make_config({"name": "x", "model": "resnet18", "callbacks": {name: True}}, where=name)
