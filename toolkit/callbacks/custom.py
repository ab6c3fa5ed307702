"""User-defined callbacks, loaded by dotted path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from paddle.callbacks import Callback

from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean


def load_custom(path: str, args: Mapping[str, Any] | None = None) -> Callback:
    """Import a callback class and create an instance.

    Args:
        path: ``package.module.Class``; any subclass of ``paddle.callbacks.Callback``, Paddle's own included.
        args: Keyword arguments for its constructor.

    Returns:
        The callback.

    Raises:
        ConfigError: The module cannot be imported, the class is missing or not a callback, or it rejects ``args``.
    """
    where = f"callbacks.custom: {path}"
    cls = _load(path, where, "package.module.Class")
    if not (isinstance(cls, type) and issubclass(cls, Callback)):
        raise ConfigError(f"{where} is not a callback", hint="give a subclass of paddle.callbacks.Callback")
    try:
        return cls(**(args or {}))
    except Exception as error:  # whatever the user's constructor raises
        raise ConfigError(f"{where}: cannot be created with args {dict(args or {})}: {_line(error)}") from error


def load_function(path: str, hook: str) -> Callable[..., Any]:
    """Import a function to call at a hook.

    Args:
        path: ``package.module.function``.
        hook: Name of the hook, for error messages.

    Returns:
        The function.

    Raises:
        ConfigError: The module cannot be imported, or has no such function.
    """
    where = f"callbacks.functions.{hook}: {path}"
    loaded = _load(path, where, "package.module.function")
    if not callable(loaded):
        raise ConfigError(f"{where} is not a function")
    function: Callable[..., Any] = loaded
    return function


def _load(path: str, where: str, expected: str) -> Any:
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ConfigError(f"{where}: expected {expected}")
    return _attribute(_module(module_name, where), name, where)


def _module(name: str, where: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        own = name == missing or name.startswith(f"{missing}.")
        raise ConfigError(
            f"{where}: no module {missing!r}" + ("" if own else f", which {name} imports"),
            hint="put its folder on PYTHONPATH" if own else f"install {missing}",
        ) from error
    except Exception as error:  # whatever the user's module raises
        raise ConfigError(f"{where}: importing {name} failed: {_line(error)}") from error


def _attribute(module: Any, name: str, where: str) -> Any:
    if not hasattr(module, name):
        raise ConfigError(f"{where}: module {module.__name__} has no {name}", hint=did_you_mean(name, dir(module)))
    return getattr(module, name)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
