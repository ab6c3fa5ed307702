"""A run's checkpoints on disk: the newest, the previous one, and the best epoch; each is complete and has a digest."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from numpy.typing import NDArray

from toolkit.core.console import warn
from toolkit.core.digest import file_digest
from toolkit.core.errors import TrainingError
from toolkit.core.files import clear_os_errors, write_json
from toolkit.core.runtime import is_main_process
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo import write_weights

_WRITING_SHARE = 10
"""Minimum training time between two writes, as a multiple of the duration of the last write."""
_LONGEST = 60.0
"""Seconds into an epoch after which its steps so far are written as well."""


class CheckpointManager:
    """Keeps the last state in memory, and writes it when due.

    Args:
        folder: The run's folder.
        model: Description of the network (``ModelFacts.to_dict``), written beside the best epoch's weights.
    """

    def __init__(self, folder: RunFolder, model: Mapping[str, Any]) -> None:
        self._folder = folder
        self._model = model
        if is_main_process():
            _sweep(folder)
        self._best: dict[str, NDArray[Any]] = {}
        self._next_write = 0.0
        self.latest = TrainingState()

    def snapshot(self, state: TrainingState) -> None:
        """Store a state, whose arrays must not change afterwards."""
        self.latest = _copied(state)

    def restore(self) -> TrainingState:
        """The stored state, to continue from."""
        return _copied(self.latest)

    def keep_best(self, weights: dict[str, NDArray[Any]]) -> None:
        """Store the best epoch's weights, to be written with the next state."""
        self._best = weights

    @property
    def due(self) -> bool:
        """Whether to write the end of an epoch: yes, unless writing would take over a tenth of the time."""
        return time.monotonic() >= self._next_write

    @property
    def overdue(self) -> bool:
        """Whether to write in the middle of an epoch."""
        return time.monotonic() >= self._next_write + _LONGEST

    def write(self) -> None:
        """Write the stored state, on the main process only; the newest state on disk becomes the previous one.

        Raises:
            ToolkitError: The disk is full or not writable; existing files stay.
        """
        began = time.monotonic()
        if is_main_process():
            if self._best:
                _write_best(self._folder, self._best, self._model)
                self._best = {}
            self.latest.save(self._folder.last, lambda: _keep_previous(self._folder))  # so that two remain
        now = time.monotonic()
        self._next_write = now + _WRITING_SHARE * (now - began)


def _sweep(folder: RunFolder) -> None:
    """Remove leftovers of a process that was killed while writing."""
    with clear_os_errors(str(folder.last.parent)):
        for pattern in (".*.tmp", ".*.link", ".new-*"):
            for path in folder.last.parent.glob(pattern):
                path.unlink(missing_ok=True)


def _copied(state: TrainingState) -> TrainingState:
    return replace(state, **{item.name: _copy(getattr(state, item.name)) for item in fields(state)})


def _copy(value: Any) -> Any:
    """Copy containers but not arrays."""
    return dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value


def _keep_previous(folder: RunFolder) -> None:
    """Give the newest checkpoint a second name, under which it remains once the new one replaces it."""
    with clear_os_errors(f"the checkpoint {folder.previous}"):
        if not folder.last.is_file():
            return
        temporary = folder.previous.with_name(f".{folder.previous.name}.link")
        temporary.unlink(missing_ok=True)
        try:
            os.link(folder.last, temporary)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES):
                raise
            os.replace(folder.last, folder.previous)  # no hard links here: for a moment only the previous one exists
            return
        os.replace(temporary, folder.previous)


def _write_best(folder: RunFolder, weights: Mapping[str, NDArray[Any]], model: Mapping[str, Any]) -> None:
    """Write the weights; until they are in place, the digest file lists the old ones as well."""
    with clear_os_errors(f"the checkpoint {folder.best}"):
        folder.best.parent.mkdir(parents=True, exist_ok=True)
        staged = folder.best.with_name(f".new-{folder.best.name}")
        write_weights(weights, staged)
        digests = [file_digest(staged), *([file_digest(folder.best)] if folder.best.is_file() else [])]
        write_json(folder.best_digest, {"sha256": digests, "model": dict(model)})
        os.replace(staged, folder.best)


def load_newest(folder: RunFolder) -> TrainingState:
    """Load the newest readable state; reports if that is the previous one.

    Raises:
        TrainingError: No state can be read.
    """
    try:
        return TrainingState.load(folder.last)
    except TrainingError as damaged:
        if not folder.previous.is_file():
            raise
        state = TrainingState.load(folder.previous)
        warn(f"{damaged.message}; continuing from {folder.previous.name}, the checkpoint before it")
        return state


def check_best(folder: RunFolder, state: TrainingState) -> bool:
    """Whether the best epoch's weights, if the state has any, are intact."""
    return state.best is None or (folder.best.is_file() and best_is_intact(folder))


def best_is_intact(folder: RunFolder) -> bool:
    """Whether the best epoch's weights match their digest; also True if there is no digest."""
    if not folder.best_digest.is_file():
        return True  # a run started by an earlier version
    try:
        known = json.loads(folder.best_digest.read_text(encoding="utf-8"))["sha256"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return False
    return file_digest(folder.best) in known
