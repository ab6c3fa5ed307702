"""The tree of errors: what a user can fix, and with which exit code it ends."""

from __future__ import annotations

import pickle

import pytest

from toolkit.core import errors
from toolkit.core.errors import ConfigError, Interrupted, NetworkError, ToolkitError, TrainingError, WeightsError

EXIT_CODES = {
    "ConfigError": 2,
    "DataError": 1,
    "DeployError": 1,
    "DeviceError": 1,
    "DivergedError": 1,
    "Interrupted": 130,
    "NetworkError": 1,
    "NewerError": 1,
    "ToolkitError": 1,
    "TrainingError": 1,
    "WeightsError": 1,
}


def test_the_table_is_complete() -> None:
    found = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(EXIT_CODES) == found


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_error_is_a_toolkit_error_with_its_exit_code(name: str) -> None:
    error = getattr(errors, name)("it broke", hint="fix it")
    assert isinstance(error, ToolkitError)
    assert error.exit_code == EXIT_CODES[name]
    assert (error.message, error.hint) == ("it broke", "fix it")


def test_kinds() -> None:
    assert issubclass(WeightsError, NetworkError)
    assert issubclass(Interrupted, TrainingError)


def test_text() -> None:
    assert str(ConfigError("no such key")) == "no such key"
    assert str(ConfigError("no such key", hint="did you mean lr?")) == "no such key — did you mean lr?"


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("no such key", hint="did you mean lr?")))
    assert type(error) is ConfigError
    assert (error.message, error.hint) == ("no such key", "did you mean lr?")
