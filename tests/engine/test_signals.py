"""The first signal is noted, the second one acts."""

from __future__ import annotations

import os
import signal

import pytest

from toolkit.engine.signals import stop_requests, undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_one_is_noted_and_handlers_come_back(number: int) -> None:
    before = signal.getsignal(number)
    with stop_requests() as request:
        os.kill(os.getpid(), number)
        assert request.signal_name == signal.Signals(number).name
    assert signal.getsignal(number) == before


def test_the_second_interrupt_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), stop_requests():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass


def test_what_must_not_be_disturbed_comes_to_its_end_first() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
        done = True
    assert done
