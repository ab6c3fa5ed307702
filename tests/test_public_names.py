"""The public names: those of the toolkit are pinned, and every package has what its face lists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

PUBLIC_NAMES = [
    "Config", "Data", "FineTuned", "FineTuner", "Predictor", "RunResult", "ToolkitError", "Trainer", "create_network",
    "load_config",
]  # fmt: skip
FACES = {
    ".".join(path.relative_to(REPO).parent.parts): path
    for path in (REPO / "toolkit").rglob("__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
}
"""Packages that other packages take names from."""


def in_order(names: list[str]) -> list[str]:
    """CONSTANTS, then Classes, then functions, each in alphabetical order with numbers by value (ruff's RUF022)."""

    def key(name: str) -> tuple[int, list[int | str]]:
        kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
        return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    return sorted(names, key=key)


def test_the_names_of_the_toolkit_are_pinned() -> None:
    assert list(import_module("toolkit").__all__) == PUBLIC_NAMES


@pytest.mark.parametrize("package", sorted(FACES))
def test_a_package_has_what_its_face_lists(package: str) -> None:
    module = import_module(package)
    assert list(module.__all__) == in_order(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_only_faces_list_their_names() -> None:
    others = [path for path in (REPO / "toolkit").rglob("*.py") if path.name != "__init__.py"]
    assert [str(path) for path in others if "__all__ =" in path.read_text(encoding="utf-8")] == []


def test_the_top_names_are_those_of_their_packages() -> None:
    import toolkit

    for name in toolkit.__all__:
        home = import_module(toolkit._HOME[name])
        assert getattr(toolkit, name) is getattr(home, name)
        assert name in getattr(home, "__all__", [name])
    assert set(toolkit._HOME) == set(toolkit.__all__)
    assert set(toolkit.__all__) <= set(dir(toolkit))


def test_an_unknown_name_is_an_attribute_error() -> None:
    import toolkit

    with pytest.raises(AttributeError, match="Trianer"):
        _ = toolkit.Trianer


def test_the_order_is_ruffs() -> None:
    assert in_order(["write", "Batch", "IMAGE_SIZE", "IMAGENET_MEAN", "Array"]) == [
        "IMAGENET_MEAN", "IMAGE_SIZE", "Array", "Batch", "write",
    ]  # fmt: skip
