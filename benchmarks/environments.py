"""Virtual environments of the peers, installed from PyPI once and kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cases import OURS, PEERS
from benchmarks.measure import clean_environment
from benchmarks.works import Places, TrainWork

__all__ = ["Environment", "choose_workers", "make_environment", "program_of"]

_AGREEMENT = 1e-3
"""Largest allowed difference of logits between two libraries with the same weights; logits are of the order of 10."""
_HAVE_WORKERS, _WORKERS = ("torch", "paddle_fit"), (0, 1, 2)
_VERSIONS = (
    "import json; from importlib.metadata import distributions as d; "
    "print(json.dumps({x.metadata['Name'].lower().replace('_', '-'): x.version for x in d()}))"
)
_SHOWN = {
    "ours": ("paddlepaddle", "onnxruntime", "paddle2onnx", "numpy", "opencv-python", "opencv-python-headless"),
    "torch": ("torch", "torchvision", "pillow", "numpy"),
    "keras": ("keras", "tensorflow-cpu", "tensorflow", "numpy"),
    "paddle_fit": ("paddlepaddle", "opencv-python-headless", "numpy"),
}


@dataclass
class Environment:
    """A Python with the packages a program needs.

    Attributes:
        name: ``ours`` or a peer.
        python: Its interpreter.
        versions: Versions of the packages that matter.
        missing: Why it cannot be used; empty if it can.
        checks: Network -> largest difference of its logits to Paddle's.
        options: Additional arguments of its program: the fastest settings on this machine.
    """

    name: str
    python: Path
    versions: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    checks: dict[str, float] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)


def program_of(name: str, repo: Path) -> Path:
    """File of ``tools/train.py``, of ``ours/...`` or of a peer."""
    if name in PEERS:
        return repo / "benchmarks" / "peers" / f"{name}_peer.py"
    return repo / name if name.startswith("tools/") else repo / "benchmarks" / name


def make_environment(name: str, places: Places, networks: set[str]) -> Environment:
    """Find or create an environment, and check that its networks agree with Paddle's.

    Args:
        name: ``ours`` or a peer.
        places: Where things are.
        networks: Networks whose weights it will use.

    Returns:
        The environment; with ``missing`` if it cannot be created, or its networks do not agree.
    """
    if name == OURS:
        return Environment(name, Path(sys.executable), _versions(name, Path(sys.executable)))
    folder = places.work / "venvs" / name
    made = Environment(name, folder / "bin" / "python")
    try:
        _install(made, places.repo / "benchmarks" / "peers" / f"{name}.txt", folder)
        made.versions = _versions(name, made.python)
        made.checks = {network: _difference(made, places, network) for network in sorted(networks)}
    except subprocess.CalledProcessError as error:
        made.missing = _why(error)
        return made
    wrong = {network: value for network, value in made.checks.items() if value > _AGREEMENT}
    if wrong:
        made.missing = f"logits differ from Paddle's: {wrong}"
    return made


def choose_workers(made: Environment, places: Places) -> None:
    """Decide whether a peer decodes in its main process or in worker processes, whichever is faster on this machine.

    Args:
        made: Its environment; ``options`` is set.
        places: Where things are.
    """
    if made.missing or made.name not in _HAVE_WORKERS:
        return
    work = TrainWork("mobilenet_v2", "photos_200_50", freeze="all", epochs=2).for_peers(places)
    seconds = {}
    for workers in _WORKERS:
        options = ["--workers", str(workers)]
        try:
            said = _run([str(made.python), str(program_of(made.name, places.repo)), *work, *options])
        except subprocess.CalledProcessError as error:
            made.missing = _why(error)
            return
        seconds[workers] = float(json.loads(said.strip().splitlines()[-1])["seconds"])
    made.options = ["--workers", str(min(seconds, key=seconds.__getitem__))]


def _why(error: subprocess.CalledProcessError) -> str:
    """The most informative line of a program's output."""
    lines = [line.strip() for line in str(error.stderr or error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no message")[
        :300
    ]


def _install(made: Environment, requirements: Path, folder: Path) -> None:
    stamp = folder / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if made.python.exists() and stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {requirements.name} into {folder}", file=sys.stderr, flush=True)
    if not made.python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(made.python), "-m", "pip", "install", "--quiet", "-r", str(requirements)])
    stamp.write_text(wanted)


def _versions(name: str, python: Path) -> dict[str, str]:
    found = json.loads(_run([str(python), "-c", _VERSIONS]))
    return {package: found[package] for package in _SHOWN[name] if package in found}


def _difference(made: Environment, places: Places, network: str) -> float:
    """Largest difference of the logits of one image."""
    weights = places.weights(network, "npz")
    program = program_of(made.name, places.repo)
    said = _run([str(made.python), str(program), "--check", "--network", network, "--weights", str(weights)])
    return float(json.loads(said.strip().splitlines()[-1])["difference"])


def _run(command: list[str]) -> str:
    """The program's stdout; pip keeps its settings, libraries do not inherit theirs."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    return done.stdout
