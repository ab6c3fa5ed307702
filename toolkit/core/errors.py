"""The tree of errors that a user can cause.

    ToolkitError                exit 1   something the user can fix
    ├── ConfigError             exit 2   a bad YAML file, key, value or override
    ├── DataError               exit 1   missing, unreadable or inconsistent images and labels
    ├── NetworkError            exit 1   an unknown network, stage or input size
    │   └── WeightsError        exit 1   weights that cannot be found, read or loaded
    ├── NewerError              exit 1   a file that a newer version of the toolkit wrote
    ├── DeviceError             exit 1   a device that is not available
    ├── TrainingError           exit 1   a run that cannot continue (NaN loss, changed frozen weights, ...)
    │   ├── DivergedError       exit 1   the loss became NaN, infinite or far too large
    │   └── Interrupted         exit 130 Ctrl-C or SIGTERM; a checkpoint was written
    └── DeployError             exit 1   a failed export or an unusable exported model

A message is one line: what happened, where, and what was expected. The fix goes into ``hint``.
Any other exception is a bug in the toolkit and keeps its traceback.
"""

from __future__ import annotations

import traceback


class ToolkitError(Exception):
    """Base of every error that a user can cause and fix.

    Args:
        message: One line: what happened, where, and what was expected.
        hint: How to fix it, one line; printed after the message.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback: the line of the cell, the message and the hint."""
        lines = [f"{type(self).__name__}: {self.message}", *([f"  {self.hint}"] if self.hint else [])]
        steps = traceback.walk_tb(self.__traceback__)
        cell = [number for frame, number in steps if frame.f_globals.get("__name__") == "__main__"]
        return [*(f"in line {number} of the cell" for number in cell[:1]), *lines]


class ConfigError(ToolkitError):
    """A YAML file, key, value or override that cannot be used."""

    exit_code = 2


class DataError(ToolkitError):
    """Images or labels that are missing, unreadable or inconsistent."""


class NetworkError(ToolkitError):
    """An unknown network or stage, or an input that the network cannot take."""


class WeightsError(NetworkError):
    """Weights that cannot be found, downloaded, read or loaded into the network."""


class NewerError(ToolkitError):
    """A file that a newer version of the toolkit wrote."""


class DeviceError(ToolkitError):
    """A requested device that is not available."""


class TrainingError(ToolkitError):
    """A run that cannot continue."""


class DivergedError(TrainingError):
    """The loss became NaN, infinite or far too large."""


class Interrupted(TrainingError):
    """The user or the system ended the run; a checkpoint was written."""

    exit_code = 130


class DeployError(ToolkitError):
    """An export that failed its check, or an unusable exported model."""
