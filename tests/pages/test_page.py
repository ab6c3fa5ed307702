"""What all pages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.pages import new_environment, write_page

PAGES = ("toolkit.explain", "toolkit.advise")


@pytest.mark.parametrize("package", PAGES)
def test_there_is_one_skeleton(repo: Path, package: str) -> None:
    folder = repo / package.replace(".", "/") / "templates"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert texts
    assert not [name for name, text in texts.items() if "<html" in text or "<style" in text or name.endswith(".css")]


@pytest.mark.parametrize("package", PAGES)
def test_the_skeleton_holds_the_style_and_escapes_words(package: str) -> None:
    page = new_environment(package).get_template("page.html").render(name="<b>birds</b>")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<style>") == 1
    assert ".cards {" in page
    assert "<b>birds" not in page
    assert "&lt;b&gt;birds" in page
    assert "http" not in page


def test_a_page_fills_the_blocks() -> None:
    source = (
        '{% extends "page.html" %}{% from "facts.html" import facts %}'
        "{% block title %}best{% endblock %}{% block content %}{{ facts([('rate', 0.5 | percent)]) }}{% endblock %}"
    )
    page = new_environment("toolkit.explain").from_string(source).render(name="job")
    assert "<title>job: best</title>" in page
    assert "<dt>rate</dt><dd>50.0\u00a0%</dd>" in page


def test_file_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", "a\udce9.png 鸟")
    assert path.read_text(encoding="utf-8") == "a\\udce9.png 鸟"
