"""Without a home folder, or without one to write to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.core.home import ensure_home, home_is_writable, writable_home


def test_a_home_that_can_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "not yet there"))
    with writable_home():
        assert Path.home() == tmp_path / "not yet there"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_another_one_lasts_as_long_as_the_context(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / name))
    assert not home_is_writable()
    with writable_home():
        lent = Path.home()
        (lent / "x").touch()
    assert os.environ["HOME"] == str(tmp_path / name)
    assert not lent.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="~ always means something on Windows")
def test_a_user_without_an_entry_gets_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "~")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ensure_home()
    assert Path.home().parent == tmp_path
    assert Path.home().stat().st_mode & 0o777 == 0o700


def test_paddle_and_visualdl_do_without_a_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = (
        "import toolkit.core.runtime; toolkit.core.runtime.import_paddle()\n"
        "from pathlib import Path; from toolkit.callbacks.visualdl_record import VisualDLRecord\n"
        "record = VisualDLRecord(Path('vdlrecords.1.log')); record.scalar('a', 1.0, 1); record.close()"
    )
    environment = {**os.environ, "HOME": str(tmp_path / "file")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "vdlrecords.1.log").stat().st_size > 0
