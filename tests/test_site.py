"""The site of the documentation, as far as it can be checked without mkdocs, and the drawing of the packages."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import toolkit
from tests.test_layers import LAYERS, MODULES, imports_of_module, part_of
from tests.test_options_page import load

REPO = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"
API = ("docs/api.md", "docs/api_zh.md")


def read(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^ +- .+: (\S+\.md)$", read("mkdocs.yml"), re.MULTILINE)
    pages = [*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("benchmarks/*.md")]
    assert sorted(listed) == sorted(path.relative_to(REPO).as_posix() for path in pages)


def test_the_chinese_pages_are_in_the_same_order() -> None:
    listed = re.findall(r"^ +- .+: (\S+\.md)$", read("mkdocs.yml"), re.MULTILINE)
    chinese = [page for page in listed if page.endswith("_zh.md")]
    assert chinese == [page.replace(".md", "_zh.md") for page in listed if page.replace(".md", "_zh.md") in chinese]
    assert {page.replace("_zh.md", ".md") for page in chinese} >= {
        page for page in listed if page.startswith("docs/")
    } - {*chinese}


@pytest.mark.parametrize("page", API)
def test_the_api_has_every_public_name(page: str) -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", read(page), re.MULTILINE)) == sorted(toolkit.__all__)


def test_the_api_shows_the_docstrings_of_every_public_name() -> None:
    assert sorted(re.findall(r"^::: toolkit\.(\w+)$", read(API[0]), re.MULTILINE)) == sorted(toolkit.__all__)


def test_what_the_site_needs_is_there() -> None:
    text = read("mkdocs.yml")
    named = re.findall(r"\bdocs/\w+\.(?:py|css)\b", text)
    assert len(named) >= 3
    assert [name for name in named if not (REPO / name).is_file()] == []


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(read("docs/architecture.svg"))


def test_the_drawing_has_every_package_and_its_imports() -> None:
    found: dict[str, set[str]] = {part.partition(".")[2]: set() for part in LAYERS}
    for module in MODULES:
        for item in imports_of_module(module):
            here, there = part_of(module), part_of(item.target)
            if there in LAYERS and here in LAYERS and here != there:
                found[here.partition(".")[2]].add(there.partition(".")[2])
    titles = dict(
        re.findall(
            r"^(\w+): imports (.*)$", "\n".join(each.text or "" for each in drawn().iter(f"{SVG}title")), re.MULTILINE
        )
    )
    assert titles == {name: ", ".join(sorted(some)) or "no other package" for name, some in found.items()}


def test_its_arrows_are_those_of_the_imports() -> None:
    """A changed number of lines may wait; a changed import may not."""
    script = load("make_architecture")
    expected = {f"{start}-{end}" for start, ends in script.arrows().items() for end in ends}
    assert {each.get("id") for each in drawn().iter(f"{SVG}path")} - {None} == expected, "run docs/make_architecture.py"
    assert len(expected) > 15


def test_its_lines_are_about_those_of_the_code() -> None:
    script = load("make_architecture")
    texts = [each.text or "" for each in drawn().iter(f"{SVG}text")]
    for name in script.read_layers():
        shown = int(texts[texts.index(name) + 1].split()[0])
        assert abs(shown - script.count_lines(name)) <= 0.2 * script.count_lines(name) + 100, (
            "run docs/make_architecture.py"
        )


def test_an_implied_arrow_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("make_architecture")
    imports = {"a": {"b", "c", "core"}, "b": {"c", "core"}, "c": {"core"}, "core": set()}
    monkeypatch.setattr(script, "all_imports", lambda: imports)
    assert script.arrows() == {"a": {"b"}, "b": {"c"}, "c": set(), "core": set()}


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/architecture_zh.md"])
def test_the_page_has_every_package_in_its_layer(page: str) -> None:
    rows = re.findall(r"^\| (\d) \| `(\w+)` \|", read(page), re.MULTILINE)
    assert {f"toolkit.{name}": int(layer) for layer, name in rows} == LAYERS
