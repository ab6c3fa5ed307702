"""Every error a user can cause, in one tree.

    ToolkitError                exit 1   something the user can mend
    ├── ConfigError             exit 2   a bad YAML file, key, value or override
    ├── DataError               exit 1   missing, unreadable or inconsistent images and labels
    ├── NetworkError            exit 1   an unknown network, stage or input size
    │   └── WeightsError        exit 1   weights that cannot be found, read or fitted
    ├── DeviceError             exit 1   a device that is not there
    ├── TrainingError           exit 1   a run that cannot go on (NaN loss, moved frozen weights, ...)
    │   ├── DivergedError       exit 1   a loss that is no number any more, or far too large
    │   └── Interrupted         exit 130 Ctrl-C or SIGTERM; a checkpoint was written
    └── DeployError             exit 1   an export or an exported model that is not what it should be

A message is one line: what happened and where, and what was expected. The cure goes into ``hint``.
Anything else that is raised is a bug of ours and keeps its traceback.
"""

from __future__ import annotations


class ToolkitError(Exception):
    """Base of every error that a user can cause and mend.

    Args:
        message: One line: what happened, where, and what was expected.
        hint: How to mend it, one line; printed after the message.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message


class ConfigError(ToolkitError):
    """A YAML file, key, value or override that cannot be used."""

    exit_code = 2


class DataError(ToolkitError):
    """Images or labels that are missing, unreadable or inconsistent."""


class NetworkError(ToolkitError):
    """An unknown network or stage, or an input that the network cannot take."""


class WeightsError(NetworkError):
    """Weights that cannot be found, downloaded, read or fitted to the network."""


class DeviceError(ToolkitError):
    """A device that was asked for and is not there."""


class TrainingError(ToolkitError):
    """A run that cannot go on."""


class DivergedError(TrainingError):
    """A loss that is no number any more, or far too large."""


class Interrupted(TrainingError):
    """The user or the system ended the run; a checkpoint was written."""

    exit_code = 130


class DeployError(ToolkitError):
    """An export that failed its own check, or an exported model that cannot be used."""
