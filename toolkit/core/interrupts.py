"""Ctrl-C and SIGTERM outside a tool's main work: one line of output and exit code 130.

During imports an exception can surface anywhere, even inside a library's own start-up. So before a tool's main work
begins, and after it ends, a signal ends the process at once: there is nothing to release.
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
"""Exit code of an interrupted tool."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_as_tool() -> bool:
    """Whether this process runs a script in ``tools/``; elsewhere the importing program handles signals."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return False
    root = os.path.join(os.path.realpath(__file__), *[os.pardir] * 3)  # noqa: PTH118 (pathlib takes time to import)
    return os.path.dirname(os.path.realpath(script)) == os.path.realpath(os.path.join(root, "tools"))  # noqa: PTH118, PTH120


def leave_at_once() -> None:
    """End the process with one line of output on any later signal."""
    _install(_leave)


def raise_interrupts() -> None:
    """Raise ``KeyboardInterrupt`` on any later signal, so that resources are released."""
    _install(signal.default_int_handler)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Hold SIGTERM back while Paddle is imported, so that Paddle's own handler, which prints a crash, never sees it.

    Only the main thread can block the signal; threads that already run (NumPy's) cannot. So our handler is reinstalled
    as soon as the next module is imported after Paddle has installed its own.
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
    """Reinstalls a SIGTERM handler at every import; finds no module itself."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Reinstall the handler and leave the module to the other finders."""
        signal.signal(signal.SIGTERM, self._handler)


def _install(handler: object) -> None:
    for signum in _SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(signum, handler)  # type: ignore[arg-type]


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(CODE)
