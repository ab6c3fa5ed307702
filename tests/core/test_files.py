"""Files are complete or absent."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from toolkit.core.errors import ToolkitError
from toolkit.core.files import atomic_file, atomic_folder, clear_os_errors, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"值": 1})
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == '{\n  "值": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / f"{text}.txt").write_text(text)
    assert [p.name for p in path.iterdir()] == ["new.txt"]
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("number", "cure"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "permission")])
def test_system_errors_become_one_clear_line(number: int, cure: str) -> None:
    with pytest.raises(ToolkitError, match=cure), clear_os_errors("the checkpoint x"):
        raise OSError(number, "text")


def test_the_cure_names_the_place_that_the_user_can_change() -> None:
    with pytest.raises(ToolkitError, match=r"choose another cache\.dir"), clear_os_errors("x", place="cache.dir"):
        raise OSError(errno.EROFS, "text")


def test_other_system_errors_stay_what_they_are() -> None:
    with pytest.raises(FileNotFoundError), clear_os_errors("x"):
        raise FileNotFoundError(errno.ENOENT, "gone")
