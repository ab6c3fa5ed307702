"""A short campaign of faults (see ``benchmarks/faults.py``): no run is lost, and all end with the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAULTS = {"kill in a save": (1, 4, 6, 8), "kill": (0, 5), "SIGTERM": (6, 10), "full disk": (3,), "flipped byte": (74,)}
"""Seeds of each kind; they decide when it strikes, early, late, or at which file operation."""
PROGRAM = """
import json, sys
from benchmarks.faults import Fault, campaign
from toolkit.core.runtime import import_paddle

faults, broken = json.loads(sys.argv[1]), sys.argv[2]
import_paddle()
if broken == "no previous checkpoint":
    import toolkit.engine.runs.checkpoints as keeping
    keeping._keep_previous = lambda folder: None
elif broken == "no digest":
    import toolkit.engine.runs.state as state
    state._digest = lambda text, arrays: ""
elif broken == "other random numbers":
    import os
    import toolkit.engine.phase as phase
    phase.step_seed = lambda seed, epoch, step: os.getpid()
ended = campaign([Fault(*fault) for fault in faults])
print(json.dumps([{"kind": each.fault.kind, "struck": each.disturbed, "problem": each.problem} for each in ended]))
"""
"""A process of its own: the campaign forks, and must not have used Paddle before."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.multiprocess,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and mounts as on Linux"),
]


def can_mount(folder: Path) -> bool:
    if os.geteuid() or shutil.which("mount") is None:
        return False
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return False
    subprocess.run(["umount", str(folder)], check=True)
    return True


def ended(repo: Path, folder: Path, faults: list[tuple[str, int]], broken: str = "") -> list[dict[str, Any]]:
    """What became of the disturbed runs."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(faults), broken],
        capture_output=True,
        text=True,
        cwd=repo,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_run_goes_on_and_ends_as_in_peace(repo: Path, tmp_path: Path) -> None:
    seeds = FAULTS if can_mount(tmp_path / "mount") else {**FAULTS, "full disk": ()}
    faults = [(kind, seed) for kind, some in seeds.items() for seed in some]
    found = ended(repo, tmp_path, faults)
    assert [each["kind"] for each in found] == [kind for kind, _ in faults]
    assert [each for each in found if each["problem"]] == []
    struck = {each["kind"] for each in found if each["struck"]}
    assert {"kill in a save", "flipped byte"} <= struck, "the faults came too late to disturb anything"


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        ("no previous checkpoint", "flipped byte"),
        ("no digest", "flipped byte"),
        ("other random numbers", "kill in a save"),
    ],
)
def test_the_campaign_notices_what_is_broken(repo: Path, tmp_path: Path, broken: str, kind: str) -> None:
    found = ended(repo, tmp_path, [(kind, 6), (kind, 77), (kind, 86)], broken)
    assert any(each["problem"] for each in found), broken
