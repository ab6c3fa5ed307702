"""How long a run will still take, as far as that is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from toolkit.transfer import PhasePlan

_LOOKED_AT = 5
"""Epochs, the last ones, whose median is taken for one to come."""


class TimeLeft:
    """Estimates from the epochs that were measured.

    An epoch to come takes what those of its own phase, or of one with as many frozen stages, took. Where there is none
    yet, and the current phase computes the whole network from images, the time is scaled by the work: a stage costs one
    forward pass, and two more where it learns. From kept features nothing follows for phases that read images: their
    epochs are counted, and not guessed.

    Args:
        phases: Of the plan.
        stages: Number of stages of the network.
    """

    def __init__(self, phases: Sequence[PhasePlan], stages: int) -> None:
        self._phases = tuple(phases)
        self._stages = stages
        self._measured: dict[tuple[int, str], list[float]] = {}
        self._number, self._done, self._whole = 0, 0, True
        self._began: float | None = None

    def start_phase(self, number: int, done: int, start_stage: int) -> None:
        """A phase begins or goes on.

        Args:
            number: Its index.
            done: Its epochs that are done.
            start_stage: Index of the first stage that is computed in it.
        """
        self._number, self._done, self._began = number, done, None
        self._whole = start_stage == 0 and self._phases[number].solver != "exact"

    def start_epoch(self) -> None:
        """An epoch begins; what came since the last one began is that one's."""
        now = time.monotonic()
        if self._began is not None and self._seconds:
            self._seconds[-1] = now - self._began  # with what came after it: saving
        self._began = now

    def end_epoch(self, share: float = 1.0) -> None:
        """An epoch is done.

        Args:
            share: Part of it that was made since it began here; the rest was made by an interrupted run, and it is not
                measured.
        """
        self._done += 1
        if self._began is None or share < 1.0:
            self._began = None
            return
        self._seconds.append(time.monotonic() - self._began)

    @property
    def known(self) -> tuple[float, int] | None:
        """Seconds from the end of the last epoch on, and epochs of which nothing is known beyond; None: no idea."""
        rate = self._rate(self._number)
        if rate is None:
            return None
        current = self._phases[self._number]
        seconds, unknown = rate * max(0, current.epochs - self._done), 0
        for number, phase in enumerate(self._phases[self._number + 1 :], self._number + 1):
            measured = self._rate(number)
            if measured is None and self._whole and phase.solver != "exact":
                measured = rate * self._work(phase) / self._work(current)
            if measured is None:
                unknown += phase.epochs
            else:
                seconds += measured * phase.epochs
        return seconds, unknown

    def words(self) -> str:
        """``about 3 min``; with what is not known, ``about 20 s + 10 epochs``; empty at the end and without an idea."""
        known = self.known
        if known is None or known == (0.0, 0):
            return ""
        seconds, unknown = known
        parts = [f"about {rough_time(seconds)}"] if seconds else []
        parts += [f"{unknown} epoch{'s' if unknown > 1 else ''}"] if unknown else []
        return " + ".join(parts)

    @property
    def _seconds(self) -> list[float]:
        return self._measured.setdefault(self._key(self._number), [])

    def _key(self, number: int) -> tuple[int, str]:
        return self._phases[number].frozen, self._phases[number].solver

    def _rate(self, number: int) -> float | None:
        """Seconds an epoch; the first one of a process, which fills caches, does not count where there are others."""
        measured = self._measured.get(self._key(number), [])
        return median(measured[1:][-_LOOKED_AT:] or measured) if measured else None

    def _work(self, phase: PhasePlan) -> int:
        every = self._stages + 1  # the head is one
        return every + 2 * (every - phase.frozen)


def rough_time(seconds: float) -> str:
    """As much of it as an estimate can say: ``45 s``, ``12 min``, ``3.5 h``, ``2 days``."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{max(1, round(amount))} {unit}"
    return f"{seconds / 86400:.0f} days"
