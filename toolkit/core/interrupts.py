"""Ctrl-C and SIGTERM before and after a tool's work: one quiet line and exit code 130.

While Python imports, an exception may come up anywhere, in the middle of a library's own start too. So until a tool
works, and after it, a signal ends the process at once: nothing is held that would have to be given back.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

CODE = 130
"""With which an interrupted tool leaves."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_as_tool() -> bool:
    """Whether this process runs a script of ``tools/``; elsewhere signals are the business of who imports us."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return False
    root = os.path.join(os.path.realpath(__file__), *[os.pardir] * 3)  # noqa: PTH118 (pathlib takes time to import)
    return os.path.dirname(os.path.realpath(script)) == os.path.realpath(os.path.join(root, "tools"))  # noqa: PTH118, PTH120


def leave_at_once() -> None:
    """From here on a signal ends the process with one line."""
    _install(_leave)


def raise_interrupts() -> None:
    """From here on a signal raises ``KeyboardInterrupt``, so that what is held is given back."""
    _install(signal.default_int_handler)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Keep SIGTERM waiting while Paddle is imported: its own handler, which prints a crash, never gets one.

    The main thread lets the signal wait. Threads that are there already (NumPy's) cannot be told to: so our handler is
    put back as soon as the next module is imported after Paddle has installed its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    handler = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    before, hook = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}), _PutBack(handler)
    sys.meta_path.insert(0, hook)
    try:
        yield
    finally:
        sys.meta_path.remove(hook)
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _PutBack:
    """Installs a handler of SIGTERM whenever a module is imported; finds none itself."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Leave the module to the other finders."""
        signal.signal(signal.SIGTERM, self._handler)


def _install(handler: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(number, handler)  # type: ignore[arg-type]


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(CODE)
