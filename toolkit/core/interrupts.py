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


def tool_script() -> str | None:
    """The script in ``tools/`` that this process runs, as the user called it; None if it runs something else."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return None
    root = os.path.join(os.path.realpath(__file__), *[os.pardir] * 3)  # noqa: PTH118 (pathlib takes time to import)
    tools = os.path.realpath(os.path.join(root, "tools"))  # noqa: PTH118
    if os.path.dirname(os.path.realpath(script)) != tools:  # noqa: PTH120
        return None
    return sys.argv[0] if os.path.realpath(sys.argv[0]) == os.path.realpath(script) else script


def run_as_tool() -> bool:
    """Whether this process runs a command of the toolkit; elsewhere the importing program handles signals."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    name = os.path.basename(script).partition(".")[0]  # noqa: PTH119
    return name == "paddle-finetune" or sys.orig_argv[1:3] == ["-m", "toolkit"] or tool_script() is not None


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
