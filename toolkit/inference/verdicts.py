"""Known results of engines on this machine, so that each program is tried once: a small JSON file beside the caches."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

from toolkit.core.errors import ToolkitError
from toolkit.core.files import write_json
from toolkit.core.locking import lock
from toolkit.inference.engines import Engine

_FILE = "~/.cache/paddle-finetune/engines.json"
_FORMAT = 1
_MOST = 2000
_MOST_WEIGHTS = 20
_MOST_BYTES = 20 << 20
_PACKAGES = ("onnxruntime", "paddle2onnx", "paddleclas")
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_DEBUG_CPU_TYPE")
_here: dict[tuple[Path, str], Known] = {}
"""What this process knows in addition to the file."""


@dataclass
class Known:
    """What is known of one engine and one structure.

    Attributes:
        about: Display name.
        failure: A lasting reason why the engine cannot run the structure; empty if it runs.
        differences: Digest of weights -> largest difference to dygraph, as ``relative_difference``.
    """

    about: str
    failure: str = ""
    differences: dict[str, float] = field(default_factory=dict)


class Verdicts:
    """The file of results. A damaged file counts as empty; if it is not writable, nothing is stored.

    Args:
        path: Path of the file; by default ``~/.cache/paddle-finetune/engines.json``.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(_FILE).expanduser()

    def find(self, key: str) -> Known | None:
        """The known result, or None."""
        return _here.get((self.path, key)) or self._read().get(key)

    def add(self, key: str, known: Known, *, lasting: bool = True) -> None:
        """Store a result; use ``alone`` to exclude other processes.

        Args:
            key: See ``key_of``.
            known: What is known now.
            lasting: Store it in the file; otherwise, or if that is not writable, only for the life of this process.
        """
        _here[self.path, key] = known
        if not lasting:
            return
        everything = self._read()
        everything.pop(key, None)
        for old in list(everything)[: max(0, len(everything) - _MOST + 1)]:
            del everything[old]
        for old in list(known.differences)[:-_MOST_WEIGHTS]:
            del known.differences[old]
        everything[key] = known
        with suppress(OSError, ToolkitError):
            known_results = {name: vars(result) for name, result in everything.items()}
            write_json(self.path, {"format": _FORMAT, "known": known_results})
            del _here[self.path, key]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Exclude other processes, so that the next one finds this one's results in the file."""
        held = None
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held = lock(self.path.with_suffix(".lock"), "waiting for another process to compare engines")
        try:
            yield
        finally:
            if held is not None:
                held.release()

    def _read(self) -> dict[str, Known]:
        try:
            if self.path.stat().st_size > _MOST_BYTES:
                return {}
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, MemoryError):
            return {}
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            return {}
        known = content.get("known")
        parsed = {key: _parsed(value) for key, value in known.items()} if isinstance(known, dict) else {}
        return {key: value for key, value in parsed.items() if value is not None}


def _parsed(value: Any) -> Known | None:
    """Parse an entry; None unless it has the form that ``Verdicts.add`` writes."""
    if not isinstance(value, dict):
        return None
    about, failure, differences = (value.get(name) for name in ("about", "failure", "differences"))
    if not isinstance(about, str) or not isinstance(failure, str) or not isinstance(differences, dict):
        return None
    if not all(isinstance(difference, float) for difference in differences.values()):
        return None
    return Known(about, failure, differences)


def structure_of(layer: nn.Layer, leave_out: str | None = None) -> list[Any]:
    """The structure of a layer without its weights: sublayers, their settings and the shapes of their arrays.

    Args:
        layer: The layer.
        leave_out: Path of a sublayer to ignore.
    """
    inside = f"{leave_out}." if leave_out else "\0"
    parts = [
        (path, f"{type(sub).__module__}.{type(sub).__qualname__}", sub.extra_repr())
        for path, sub in layer.named_sublayers(include_self=True)
        if path != leave_out and not path.startswith(inside)
    ]
    held = [(key, list(value.shape)) for key, value in layer.state_dict().items() if not key.startswith(inside)]
    return [parts, held]


def key_of(engine: Engine, structure: Any) -> str:
    """Key for an engine and a structure, on this machine with these versions."""
    text = json.dumps([engine, structure, _machine()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _machine() -> list[Any]:
    """What matters besides the program: versions, the processor and its settings."""
    packages = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    limits = {name: os.environ[name] for name in _LIMITS if name in os.environ}
    return [paddle.__version__, paddle.version.commit, packages, _processor(), limits]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    facts = dict(line.partition(":")[::2] for line in lines)
    names = {key.strip(): value.strip() for key, value in facts.items()}
    return "|".join(names.get(key, "") for key in ("model name", "CPU part", "flags", "Features")) or platform.machine()
