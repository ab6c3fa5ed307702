"""Ctrl-C and SIGTERM: the first one is noted and ends the run after the batch, the second one ends it at once."""

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
    """Somebody wants a training to end; whoever runs it saves, and tells.

    Args:
        signal_name: What asked for it.
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name


class StopRequest:
    """Whether somebody wants the run to end.

    Attributes:
        signal_name: ``SIGINT`` or ``SIGTERM`` once one came, else None.
    """

    signal_name: str | None = None

    @property
    def asked(self) -> bool:
        """Whether one came."""
        return self.signal_name is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM instead of dying of it; the second one acts as usual.

    Outside the main thread signals cannot be caught, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        for each, handler in before.items():
            if each == signal.SIGINT or world_size() == 1:  # the launcher sends SIGTERM after a Ctrl-C that all got
                signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def resumable(folder: RunFolder) -> Iterator[None]:
    """Let Ctrl-C in what follows a run's training, its smaller runs included, end with the command that goes on.

    Args:
        folder: The run's.

    Raises:
        Interrupted: In place of ``KeyboardInterrupt``, and of the smaller run's own.
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
    """Let Ctrl-C and SIGTERM wait for the end of something that Paddle makes an error of its own of.

    Raises:
        KeyboardInterrupt: At the end, when one came; the second one acts at once.
    """
    with stop_requests() as request:
        yield
    if request.signal_name:
        raise KeyboardInterrupt
