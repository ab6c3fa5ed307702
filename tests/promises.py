"""List the promises of README and docs with the tests that verify them, and report gaps.

python tests/promises.py    (exit code 1 if a promise has no test, or a sentence that looks like one is not listed)

A sentence looks like a promise if it contains one of ``MARKERS``; it is listed if an entry contains part of it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")
PAGES = (
    "README.md",
    "docs/data.md",
    "docs/training.md",
    "docs/deployment.md",
    "docs/advisor.md",
    "docs/networks.md",
)
MARKERS = re.compile(
    r"\b(never|always|refused|exit code|to the bit|(one|a) line|(is|are|in) an error|at most|nothing is|keeps?|kept"
    r"|stays?|whatever|in any case|left out|is named|without a word)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Promise:
    """A piece of a page, and the tests that verify it.

    Attributes:
        page: Path of the page in the repository.
        text: As on the page, except for line breaks.
        tests: A test's file, or ``file::function``.
        no_promise: Why a text that sounds like a promise is not one; it then has no tests.
    """

    page: str
    text: str
    tests: tuple[str, ...]
    no_promise: str = ""

    def problems(self) -> list[str]:
        """What is wrong: the page no longer says it, or a test is missing."""
        found = [] if _plain(self.text) in _plain(read(self.page)) else [f"{self.page} no longer says: {self.text}"]
        found += [] if bool(self.tests) != bool(self.no_promise) else [f"no test holds: {self.text}"]
        return [*found, *(f"there is no test {test}" for test in self.tests if not _exists(test))]


def promises() -> list[Promise]:
    rows = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return [Promise(row["page"], row["text"], tuple(row.get("tests") or ()), row.get("no_promise", "")) for row in rows]


def unlisted(page: str, known: Sequence[Promise]) -> list[str]:
    """Sentences of a page that look like promises but are in no entry."""
    listed = [piece for each in known if each.page == page for piece in _sentences(each.text)]
    found = [sentence for sentence in _sentences(read(page)) if MARKERS.search(sentence)]
    return [sentence for sentence in found if not any(piece in sentence for piece in listed)]


def read(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _sentences(text: str) -> list[str]:
    """Split paragraphs, list items and table rows into sentences, without code."""
    text = re.sub(r"^```.*?^```|^!\[.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    blocks = re.split(r"\n\s*\n|\n(?=\s*- )|\n(?=\|)", text)
    return [sentence for block in blocks for sentence in re.split(r"(?<=[.;?!])\s+", _plain(block)) if sentence]


def _exists(test: str) -> bool:
    name, _, function = test.partition("::")
    path = REPO / name
    if not path.is_file():
        return False
    names = _functions(path)
    return function in names if function else any(each.startswith("test_") for each in names)


@cache
def _functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def main() -> int:
    """Print the list, and the number of promises with tests."""
    known = promises()
    problems = [each.problems() for each in known]
    for promise, wrong in zip(known, problems, strict=True):
        print(f"{'BROKEN' if wrong else 'none  ' if promise.no_promise else 'held  '}  {promise.page}: {promise.text}")
        for line in wrong or promise.tests or [promise.no_promise]:
            print(f"          {line}")
    new = [f"{page}: {sentence}" for page in PAGES for sentence in unlisted(page, known)]
    for line in new:
        print(f"NEW     {line}")
    promised = [not wrong for each, wrong in zip(known, problems, strict=True) if not each.no_promise]
    print(f"{sum(promised)} of {len(promised)} promises are held by a test; {len(new)} sentences are not listed")
    return 1 if new or any(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
