"""All that changes during training, as one object that is saved and restored whole.

Randomness is not part of it: the order of the images, their augmentation and dropout are functions of (seed, epoch,
step), so the position in the run says it all. The file is a safetensors file: the arrays, and one JSON text for the
rest; nothing in it can run code.
"""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from toolkit.errors import TrainingError
from toolkit.files import atomic_file, clear_os_errors

__all__ = ["TrainingState"]


@dataclass
class TrainingState:
    """Where a run stands, at the end of an epoch.

    Attributes:
        phase: Index of the phase that goes on.
        epoch: Finished epochs, over all phases.
        phase_epoch: Finished epochs of this phase.
        lr_scale: Factor that callbacks have applied to the learning rate of this phase.
        seconds: Time spent so far.
        best: Metrics of the best epoch so far.
        last: Metrics of the last epoch.
        callbacks: State of each callback that has one, by class name.
        proof: What was checked of the frozen stages in finished phases.
        weights: Arrays of the network by state-dict key.
        optimizer: Arrays of the optimizer, see ``optimizer_state``.
    """

    phase: int = 0
    epoch: int = 0
    phase_epoch: int = 0
    lr_scale: float = 1.0
    seconds: float = 0.0
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    callbacks: dict[str, Any] = field(default_factory=dict)
    proof: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    optimizer: dict[str, NDArray[Any]] = field(default_factory=dict)

    _ARRAYS = ("weights", "optimizer")

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all.

        Raises:
            ToolkitError: The disk is full or not writable.
        """
        arrays = {
            f"{group}/{key}": np.ascontiguousarray(value)
            for group in self._ARRAYS
            for key, value in getattr(self, group).items()
        }
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in self._ARRAYS}
        with clear_os_errors(f"the checkpoint {path}"), atomic_file(path) as temporary:
            _check_space(path, sum(array.nbytes for array in arrays.values()))
            save_file(arrays, temporary, metadata={"state": json.dumps(plain)})

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Read a state.

        Raises:
            TrainingError: There is none, or it is damaged.
        """
        if not path.is_file():
            raise TrainingError(f"no checkpoint to resume from: {path} is missing", hint="start the run anew")
        try:
            with safe_open(path, framework="numpy") as file:
                plain = json.loads(file.metadata()["state"])
                groups: dict[str, Any] = {group: {} for group in cls._ARRAYS}
                for name in file.keys():  # noqa: SIM118 (not a dict)
                    group, _, key = name.partition("/")
                    groups[group][key] = file.get_tensor(name)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise TrainingError(f"{path} is no checkpoint, or damaged: {error}", hint="start the run anew") from None
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in plain.items() if key in known}, **groups)


def _check_space(path: Path, needed: int) -> None:
    """The safetensors library does not report a full disk as an ``OSError``; look before."""
    if shutil.disk_usage(path.parent).free < needed:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
