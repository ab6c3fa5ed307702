"""Ctrl-C and SIGTERM: the first one ends the run after the current batch, the second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from toolkit.core.errors import Interrupted
from toolkit.core.runtime import world_size
from toolkit.engine.runs.folder import RunFolder


class StopTraining(Exception):
    """Raised to end a training on request; the caller saves and reports it.

    Args:
        signal_name: The signal that requested the end.
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name


class StopRequest:
    """A request to end the run.

    Attributes:
        signal_name: ``SIGINT`` or ``SIGTERM`` once one came, else None.
    """

    signal_name: str | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal arrived."""
        return self.signal_name is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record the first SIGINT or SIGTERM instead of terminating; the second one acts as usual.

    Outside the main thread signals cannot be caught, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(signum).name
        for other, handler in before.items():
            if other == signal.SIGINT or world_size() == 1:  # the launcher sends SIGTERM after a Ctrl-C for all
                signal.signal(other, handler)

    for signum in before:
        signal.signal(signum, note)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def resumable(folder: RunFolder) -> Iterator[None]:
    """Make Ctrl-C after a run's training, including in its smaller runs, end with the command that resumes it.

    Args:
        folder: The run's folder.

    Raises:
        Interrupted: Raised instead of ``KeyboardInterrupt`` and of a smaller run's own ``Interrupted``.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"interrupted after the training of {folder.path}, which is complete",
            hint=f"do the rest with: {folder.resume_command}",
        ) from None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM during code in which Paddle would turn them into its own errors.

    Raises:
        KeyboardInterrupt: Raised at the end if a signal arrived; a second one acts at once.
    """
    with stop_requests() as request:
        yield
    if request.signal_name:
        raise KeyboardInterrupt
