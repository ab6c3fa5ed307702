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

CODE = 130
"""With which an interrupted tool leaves."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_as_tool() -> bool:
    """Whether this process runs a script of ``tools/``; elsewhere signals are the business of who imports us."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return False
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 (pathlib takes time to import)
    return os.path.dirname(os.path.realpath(script)) == os.path.join(root, "tools")  # noqa: PTH118, PTH120


def leave_at_once() -> None:
    """From here on a signal ends the process with one line."""
    _install(_leave)


def raise_interrupts() -> None:
    """From here on a signal raises ``KeyboardInterrupt``, so that what is held is given back."""
    _install(signal.default_int_handler)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Keep SIGTERM waiting while Paddle is imported: its own handler, which prints a crash, never gets one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)  # in place of Paddle's
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _install(handler: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(number, handler)  # type: ignore[arg-type]


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(CODE)
