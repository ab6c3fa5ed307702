"""Everything that changes during training, as one object that is saved and restored as a whole.

Randomness is not part of it: image order, augmentation and dropout are functions of (seed, epoch, step), so the
position in the run determines them. The file is a safetensors file with the arrays, a JSON text for the rest, and a
digest of both, so that a flipped bit is detected; nothing in it can run code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from toolkit import __version__
from toolkit.core.errors import TrainingError
from toolkit.core.files import atomic_file, clear_os_errors
from toolkit.core.newer import FORMAT, is_newer, newer_error, refuse_newer
from toolkit.transfer import Plan

_WRITER = {"format": str(FORMAT), "toolkit": __version__}


@dataclass
class TrainingState:
    """The state of a run, at the end of an epoch or after some of its steps.

    Attributes:
        phase: Index of the current phase.
        epoch: Number of finished epochs over all phases.
        phase_epoch: Number of finished epochs in this phase.
        step: Number of finished steps in the current epoch; 0 at its start.
        seen: Number of images seen in these steps, over all processes.
        sums: Training metrics of these steps, each summed over the images.
        lr_scale: Factor applied by callbacks to this phase's learning rate.
        seconds: Time spent so far.
        best: Metrics of the best epoch so far.
        last: Metrics of the last epoch.
        callbacks: State of each callback that has one, by class name.
        proof: Results of the checks of frozen stages in finished phases.
        solved: How a head was solved instead of trained, for ``run.json``; None if it was not.
        weights: Arrays of the network by state-dict key.
        optimizer: Arrays of the optimizer, see ``optimizer_state``.
        stopping: Whether a callback ended the phase.
        planned: Total epochs of all phases in the config.
        epoch_seconds: Time spent in the current epoch.
        averages: Arrays kept by callbacks, such as averaged weights.
        scaler: Loss scaling of mixed precision, if any.
        begun: Digest of each moving array at the start of the phase.
        largest_lr: Largest learning rate in the phase so far; 0 before any step.
        trained: Results of the checks of trained weights in finished phases.
        held: State-dict keys of weights held by hand, and ``evaluating``: paths of layers that stay in evaluation mode
            (``StagedNetwork.hold``).
    """

    phase: int = 0
    epoch: int = 0
    phase_epoch: int = 0
    step: int = 0
    seen: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    lr_scale: float = 1.0
    seconds: float = 0.0
    stopping: bool = False
    planned: int = 0
    epoch_seconds: float = 0.0
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    callbacks: dict[str, Any] = field(default_factory=dict)
    proof: list[dict[str, Any]] = field(default_factory=list)
    solved: dict[str, Any] | None = None
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    optimizer: dict[str, NDArray[Any]] = field(default_factory=dict)
    averages: dict[str, NDArray[Any]] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    largest_lr: float = 0.0
    trained: list[dict[str, Any]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    evaluating: list[str] = field(default_factory=list)

    _ARRAYS = ("weights", "optimizer", "averages")

    def position(self, plan: Plan) -> str:
        """The position of the run in its plan, in words."""
        if self.phase == len(plan.phases):
            return f"after epoch {self.epoch}: its training is complete"
        if self.step:
            return f"in epoch {self.epoch + 1} of {plan.epochs}, after step {self.step}"
        return f"after epoch {self.epoch} of {plan.epochs}"

    def save(self, path: Path, ready: Callable[[], None] | None = None) -> None:
        """Write the state atomically.

        Args:
            path: Path of the file.
            ready: Called when the new file is complete, before it replaces the old one.

        Raises:
            ToolkitError: The disk is full or not writable.
        """
        arrays = {
            f"{group}/{key}": np.ascontiguousarray(value)
            for group in self._ARRAYS
            for key, value in getattr(self, group).items()
        }
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in self._ARRAYS}
        text = json.dumps(plain)
        with clear_os_errors(f"the checkpoint {path}"), atomic_file(path, ready) as temporary:
            _check_space(path, sum(array.nbytes for array in arrays.values()))
            try:
                save_file(arrays, temporary, metadata={**_WRITER, "state": text, "digest": _digest(text, arrays)})
            except SafetensorError as error:  # which reports system errors only as text
                match = re.search(r"\(os error (\d+)\)", str(error))
                raise OSError(int(match[1]) if match else errno.EIO, str(error), str(path)) from error

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Load a state.

        Raises:
            TrainingError: The file is missing or damaged.
            NewerError: A newer version of the toolkit wrote it, and it cannot be read.
        """
        if not path.is_file():
            raise TrainingError(f"no checkpoint to resume from: {path} is missing", hint="start the run over")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                _refuse_newer(path, metadata)
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            if _digest(metadata["state"], arrays) != metadata["digest"]:
                raise ValueError("its digest does not match")
            plain = json.loads(metadata["state"])
            groups: dict[str, Any] = {group: {} for group in cls._ARRAYS}
            for name, array in arrays.items():
                group, _, key = name.partition("/")
                groups[group][key] = array
            known = {item.name for item in fields(cls)}
            if plain.keys() - known and is_newer(metadata.get("toolkit")):
                raise newer_error(path, metadata["toolkit"])
            return cls(**{key: value for key, value in plain.items() if key in known}, **groups)
        except (SafetensorError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError,
                ValueError) as error:  # fmt: skip
            words = str(error)[:200].splitlines()
            raise TrainingError(
                f"{path} is not a checkpoint, or is damaged: {' '.join(words)}", hint="start the run over"
            ) from None


def refuse_newer_states(*paths: Path) -> None:
    """Refuse checkpoints in a newer format, without reading them; those that cannot be read are left to ``load``.

    Raises:
        NewerError: Such a checkpoint was found.
    """
    for path in paths:
        with suppress(SafetensorError, OSError, ValueError), safe_open(path, framework="numpy") as file:
            _refuse_newer(path, file.metadata() or {})


def _refuse_newer(path: Path, metadata: Mapping[str, str]) -> None:
    found = metadata.get("format", "")
    refuse_newer(path, int(found) if found.isdecimal() else None, metadata.get("toolkit"))


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the text and all arrays with their names, types and shapes, hex."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.data if array.ndim else array.tobytes())
    return digest.hexdigest()


def _check_space(path: Path, needed: int) -> None:
    """Raise an error before writing a file that will not fit."""
    if shutil.disk_usage(path.parent).free < needed:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
