"""One of the processes of a training is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolkit.commands.launch import launch

# the first process is killed, so the other one fails with another message
_KILLED = """
import os, signal, sys, time
if os.environ["PADDLE_TRAINER_ID"] == "0":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(0.05)
sys.exit("gloo: connection closed by peer")
"""


def test_a_killed_process_is_named_with_the_resume_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train it.py"
    script.write_text(_KILLED)
    assert launch(2, [sys.executable, str(script), "-c", "job.yaml"]) == 1
    said = "".join(capsys.readouterr().err.split("\n"))
    assert "process 0 was killed by SIGKILL" in said
    assert f"resume with: python '{script}' -c job.yaml --resume auto" in said
    assert "gloo" not in said
