"""Every promise of README and docs has a test, and lists in the docs match the code."""

from __future__ import annotations

import re

import pytest

from tests.promises import PAGES as LISTED
from tests.promises import REPO, Promise, promises, read, unlisted
from toolkit.engine.runs.folder import _CHANGEABLE_ON_RESUME, _FREE_ON_RESUME

PAGES = ["docs/training.md", "docs/training_zh.md"]
_VARIABLE = re.compile(r"environ(?:\.get|\.setdefault)?[(\[]\s*\"(\w+)\"")
_SETTING = re.compile(r"environment_setting\(\"(\w+)\"\)")
_NOT_OURS = {"PYTHONPATH", "LANG"}


def test_promises_are_on_their_pages_and_have_their_tests() -> None:
    assert [problem for promise in promises() for problem in promise.problems()] == []


def test_a_promise_without_a_test_is_found() -> None:
    wrong = Promise("README.md", "never said", ("tests/none.py", "tests/test_promises.py::test_none")).problems()
    assert len(wrong) == 3
    assert Promise("README.md", "# ", ()).problems() == ["no test holds: # "]
    assert Promise("README.md", "# ", (), "a heading").problems() == []


@pytest.mark.parametrize("page", LISTED)
def test_sentences_that_look_like_promises_are_listed(page: str) -> None:
    assert unlisted(page, promises()) == [], "add each to tests/promises.yaml, with a test or with no_promise"


def test_a_new_promise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# T\n\nIt **never** waits. It\nends with exit code 3; it may.\n- Kept. `a: b` is refused\n| x | always |\n"
    monkeypatch.setattr("tests.promises.read", lambda page: text + "```\nnever\n```\n")
    found = ["It **never** waits.", "It ends with exit code 3;", "- Kept.", "`a: b` is refused", "| x | always |"]
    assert unlisted("x.md", []) == found
    known = [Promise("x.md", "It **never** waits. It ends", ()), Promise("y.md", "always", ())]
    assert unlisted("x.md", known) == found[2:]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_what_may_change_at_resume(page: str) -> None:
    begin = {"docs/training.md": "**What may be different**", "docs/training_zh.md": "**继续时什么可以不同。**"}[page]
    paragraph = read(page).partition(begin)[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", paragraph))
    assert named == {*_FREE_ON_RESUME, *_CHANGEABLE_ON_RESUME}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_environment_variable(page: str) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (REPO / "toolkit").rglob("*.py"))
    used = {*_VARIABLE.findall(code), *(f"PADDLE_FINETUNE_{name}" for name in _SETTING.findall(code))} - _NOT_OURS
    table = re.split(r"## (?:Environment variables|环境变量)\n", read(page))[1]
    assert {f"PADDLE_FINETUNE_{name}" for name in ("OFFLINE", "MIRROR", "MALLOC", "WEIGHTS")} <= used
    assert used <= set(re.findall(r"`(\w+)", table))
