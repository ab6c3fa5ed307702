"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from toolkit.core.locking import lock, locked, try_lock


def test_one_exclusive_or_many_shared(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = try_lock(path, shared=True)
    second = try_lock(path, shared=True)
    assert first is not None
    assert second is not None
    assert try_lock(path) is None
    first.release()
    first.release()
    assert try_lock(path) is None
    second.release()
    alone = try_lock(path)
    assert alone is not None
    assert try_lock(path) is None
    assert try_lock(path, shared=True) is None
    alone.release()


def test_a_lock_that_is_forgotten_is_released(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "a.lock")
    assert try_lock(tmp_path / "a.lock") is None
    del held
    assert try_lock(tmp_path / "a.lock") is not None


def test_waiting_is_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.lock"
    held = lock(path, "unused")
    looks: list[bool] = []

    def look_again(pause: float) -> None:
        looks.append(try_lock(path) is None)
        if len(looks) == 3:
            held.release()

    monkeypatch.setattr("toolkit.core.locking.time.sleep", look_again)
    with locked(path, "someone else is at it"):
        assert looks == [True] * 3
    assert capsys.readouterr().err == "someone else is at it\n"


def test_a_lock_file_that_its_holder_removed_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = lock(path, "unused")
    waiting: list[bool] = []
    thread = threading.Thread(target=lambda: waiting.append(lock(path, "waiting") is not None))
    thread.start()
    time.sleep(0.1)
    path.unlink()
    held.release()
    thread.join()
    assert waiting == [True]
    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_do_not_keep_an_exclusive_lock(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from toolkit.core.locking import try_lock
path = Path(sys.argv[1])
held = try_lock(path)
if os.fork() == 0:
    time.sleep(600)
    os._exit(0)
held.release()
print(try_lock(path) is not None, flush=True)
os._exit(0)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        os.killpg(process.pid, 9)


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from toolkit.core.locking import lock;"
        "held = lock(Path(sys.argv[1]), 'x'); print('locked', flush=True); time.sleep(600)"
    )
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert try_lock(path) is None
        process.kill()
    assert try_lock(path) is not None
