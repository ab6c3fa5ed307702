"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from paddle.callbacks import Callback

from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean

_HOOKS = tuple(sorted(name for name in dir(Callback) if name.startswith("on_")))


class LambdaCallback(Callback):
    """Calls functions at hooks of Paddle's protocol, with the hook's own arguments.

    Args:
        functions: Name of a hook (``on_epoch_end``, ``on_train_batch_end``, ``on_eval_end``, ...) -> a function, or
            several, called in order. ``on_epoch_*`` get ``(epoch, logs)``, ``on_*_batch_*`` get ``(step,
            logs)``, the others ``(logs)``; epochs and steps count from 0.

    Raises:
        ConfigError: A hook does not exist, or a value is not a function.

    Example:
        >>> printer = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch + 1, logs["loss"]))
        >>> printer.on_epoch_end(0, {"loss": 0.5})
        1 0.5
    """

    def __init__(self, **functions: Callable[..., Any] | Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        for hook, given in functions.items():
            if hook not in _HOOKS:
                raise ConfigError(
                    f"LambdaCallback: unknown hook {hook}; known are {', '.join(_HOOKS)}",
                    hint=did_you_mean(hook, _HOOKS),
                )
            hook_functions = tuple(given) if isinstance(given, Sequence) else (given,)
            for function in hook_functions:
                if not callable(function):
                    raise ConfigError(f"LambdaCallback: {hook} is {function!r}; expected a function")
            setattr(self, hook, _in_order(hook_functions))


def _in_order(functions: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    def call(*args: Any) -> None:
        for function in functions:
            function(*args)

    return call
