"""What is known of engines on this machine, so that a program is tried once: a small JSON file beside the caches."""

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
"""What this process knows beside the file."""


@dataclass
class Known:
    """What is known of one engine and one structure.

    Attributes:
        about: For people.
        failure: Why the engine cannot run it, a reason that lasts; empty: it runs.
        differences: Digest of weights -> largest difference to dygraph, as ``relative_difference``.
    """

    about: str
    failure: str = ""
    differences: dict[str, float] = field(default_factory=dict)


class Verdicts:
    """The file. Damaged, it is as good as empty; where it cannot be written, nothing is remembered.

    Args:
        path: Where it is; by default ``~/.cache/paddle-finetune/engines.json``.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(_FILE).expanduser()

    def find(self, key: str) -> Known | None:
        """What is known, or None."""
        return _here.get((self.path, key)) or self._read().get(key)

    def add(self, key: str, known: Known, *, lasting: bool = True) -> None:
        """Remember; ``alone`` keeps others from doing so at the same time.

        Args:
            key: See ``key_of``.
            known: What is known now.
            lasting: Keep it in the file; else, and where that cannot be written, for as long as this process lives.
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
            write_json(self.path, {"format": _FORMAT, "known": {name: vars(one) for name, one in everything.items()}})
            del _here[self.path, key]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While others wait: what one process tries, the next one finds in the file."""
        held = None
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held = lock(self.path.with_suffix(".lock"), "waiting for another process that compares engines")
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
        found = {key: _parsed(value) for key, value in known.items()} if isinstance(known, dict) else {}
        return {key: value for key, value in found.items() if value is not None}


def _parsed(value: Any) -> Known | None:
    """One entry, where it is what ``Verdicts.add`` writes."""
    if not isinstance(value, dict):
        return None
    about, failure, differences = (value.get(name) for name in ("about", "failure", "differences"))
    if not isinstance(about, str) or not isinstance(failure, str) or not isinstance(differences, dict):
        return None
    if not all(isinstance(number, float) for number in differences.values()):
        return None
    return Known(about, failure, differences)


def structure_of(layer: nn.Layer, leave_out: str | None = None) -> list[Any]:
    """What a layer is made of, but for its weights: sublayers with their settings, and shapes of what they hold.

    Args:
        layer: The layer.
        leave_out: Path of a sublayer that does not count.
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
    """Name of what is known of an engine and a structure, on this machine with these versions."""
    text = json.dumps([engine, structure, _machine()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _machine() -> list[Any]:
    """What decides beside the program: versions, the processor, and what is set for it."""
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
