"""List the promises of README and docs with the tests that hold them, and what is wrong with the list.

python tests/promises.py    (exit code 1 where a promise is not held)
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Promise:
    """A piece of a page, and the tests that hold it.

    Attributes:
        page: Path of the page in the repository.
        text: As the page has it, but for line breaks.
        tests: A test's file, or ``file::function``.
    """

    page: str
    text: str
    tests: tuple[str, ...]

    def problems(self) -> list[str]:
        """Why it is not held: the page no longer says it, there is no test, or one of them is gone."""
        found = [] if _plain(self.text) in _plain(read(self.page)) else [f"{self.page} no longer says: {self.text}"]
        found += [] if self.tests else [f"no test holds: {self.text}"]
        return [*found, *(f"there is no test {test}" for test in self.tests if not _exists(test))]


def promises() -> list[Promise]:
    """All of the list."""
    rows = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return [Promise(row["page"], row["text"], tuple(row.get("tests") or ())) for row in rows]


def read(page: str) -> str:
    """A page's text."""
    return (REPO / page).read_text(encoding="utf-8")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _exists(test: str) -> bool:
    name, _, function = test.partition("::")
    path = REPO / name
    if not path.is_file():
        return False
    names = {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
    return function in names if function else any(each.startswith("test_") for each in names)


def main() -> int:
    """Print the list, and how many are held."""
    known = promises()
    problems = [each.problems() for each in known]
    for promise, wrong in zip(known, problems, strict=True):
        print(f"{'held  ' if not wrong else 'BROKEN'}  {promise.page}: {promise.text}")
        for line in wrong or promise.tests:
            print(f"          {line}")
    held = sum(not wrong for wrong in problems)
    print(f"{held} of {len(known)} promises are held by a test")
    return 0 if held == len(known) else 1


if __name__ == "__main__":
    sys.exit(main())
