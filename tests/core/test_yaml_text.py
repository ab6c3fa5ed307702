"""YAML of strangers: plain values, or one line that says what is wrong."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from toolkit.config import load_config
from toolkit.core.errors import ConfigError
from toolkit.core.yaml_text import parse_yaml


def levels(first: str, of: str) -> str:
    """Each line refers nine times to the one before it; ``{}`` in ``of`` is where."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} {of.format(*[f'*a{i - 1}'] * 9)}" for i in range(1, 12)]
    return "\n".join(lines)


LISTS = levels("[x]", "[{}, {}, {}, {}, {}, {}, {}, {}, {}]")
MAPPINGS = levels("{k: x}", "{{a: {}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}, i: {}}}")
MERGES = levels("{k: x}", "{{<<: [{}, {}, {}, {}, {}, {}, {}, {}, {}]}}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LISTS, "aliases expand to far more"),
        (MAPPINGS, "aliases expand to far more"),
        (MERGES, "aliases expand to far more"),
        ("data: &a {b: *a}", "contains itself"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("a: " + "{" * 3000, "nested too deeply"),
        ("- " * 3000, "nested too deeply"),
        ("a: 2024-13-01", "month must be in 1..12"),
        ("a: " + "9" * 5000, "number with too many digits"),
        ("a: 1" + ":1" * 20_000, "number with too many digits"),
        ("a: !!timestamp x", "an invalid value"),
        ("a: !!int x", "an invalid value"),
        ("a: !!bool x", "an invalid value"),
        ('a: "\\Uffffffff"', "an invalid value"),
        ("{a: 1, b: 2, 'a': 3}", "is given twice"),
        ("".join(f"k{i}: 1\n" for i in range(1000)) + "k1: 1", "is given twice"),
        ("a: !!python/name:os.system", "asks for tag:yaml.org,2002:python/name:os.system"),
    ],
)
def test_hostile_yaml_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(yaml.YAMLError, match=says):
        parse_yaml(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(tmp_path / "a.yaml")
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()
    assert time.process_time() - began < 20
    assert len(str(caught.value).splitlines()) == 1


def test_aliases_and_merges_are_read() -> None:
    text = """
    base: &base {lr: 0.1, epochs: 5}
    other: &other {<<: *base, epochs: 7}
    third: {<<: [*other, *base], lr: 0.2}
    again: *base
    """
    base, other = {"lr": 0.1, "epochs": 5}, {"lr": 0.1, "epochs": 7}
    assert parse_yaml(text) == {"base": base, "other": other, "third": {"lr": 0.2, "epochs": 7}, "again": base}
    names = ", ".join(f"class{i}" for i in range(3000))
    assert len(parse_yaml(f"a: &a [{names}]\nb: *a\nc: *a\n")["c"]) == 3000
    assert parse_yaml("") is None
