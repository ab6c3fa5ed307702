"""Estimate the remaining time of a run, as far as known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from toolkit.transfer import PhasePlan

_LOOKED_AT = 5
"""Number of latest epochs whose median predicts a future one."""


class TimeLeft:
    """Estimates the remaining time from measured epochs.

    A future epoch is expected to take as long as those of its own phase, or of one with as many frozen stages. If there
    is none yet, and the current phase computes the whole network from images, the time is scaled by the work: a stage
    costs one forward pass, plus two more if it learns. Cached features allow no prediction for phases that read images:
    their epochs are counted, not estimated.

    Args:
        phases: Phases of the plan.
        stages: Number of stages of the network.
    """

    def __init__(self, phases: Sequence[PhasePlan], stages: int) -> None:
        self._phases = tuple(phases)
        self._stages = stages
        self._measured: dict[tuple[int, str], list[float]] = {}
        self._number, self._done, self._whole = 0, 0, True
        self._began: float | None = None

    def start_phase(self, index: int, done: int, start_stage: int) -> None:
        """Start or resume a phase.

        Args:
            index: Index of the phase.
            done: Number of its finished epochs.
            start_stage: Index of the first stage computed in it.
        """
        self._number, self._done, self._began = index, done, None
        self._whole = start_stage == 0 and self._phases[index].solver != "exact"

    def start_epoch(self) -> None:
        """Start an epoch; the time since the last start belongs to the previous epoch."""
        now = time.monotonic()
        if self._began is not None and self._seconds:
            self._seconds[-1] = now - self._began  # including the time for saving
        self._began = now

    def end_epoch(self, share: float = 1.0) -> None:
        """End an epoch.

        Args:
            share: Share of the epoch made here; the rest was made by an interrupted run, and the epoch is then not
                measured.
        """
        self._done += 1
        if self._began is None or share < 1.0:
            self._began = None
            return
        self._seconds.append(time.monotonic() - self._began)

    @property
    def known(self) -> tuple[float, int] | None:
        """Seconds from the end of the last epoch, and the number of unpredictable epochs; None if unknown."""
        rate = self._rate(self._number)
        if rate is None:
            return None
        current = self._phases[self._number]
        seconds, unknown = rate * max(0, current.epochs - self._done), 0
        for index, phase in enumerate(self._phases[self._number + 1 :], self._number + 1):
            measured = self._rate(index)
            if measured is None and self._whole and phase.solver != "exact":
                measured = rate * self._work(phase) / self._work(current)
            if measured is None:
                unknown += phase.epochs
            else:
                seconds += measured * phase.epochs
        return seconds, unknown

    def words(self) -> str:
        """``about 3 min``; with unpredictable epochs, ``about 20 s + 10 epochs``; empty at the end or if unknown."""
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

    def _key(self, index: int) -> tuple[int, str]:
        return self._phases[index].frozen, self._phases[index].solver

    def _rate(self, index: int) -> float | None:
        """Seconds per epoch; a process's first epoch, which fills caches, is ignored if there are others."""
        measured = self._measured.get(self._key(index), [])
        return median(measured[1:][-_LOOKED_AT:] or measured) if measured else None

    def _work(self, phase: PhasePlan) -> int:
        every = self._stages + 1  # plus one for the head
        return every + 2 * (every - phase.frozen)


def rough_time(seconds: float) -> str:
    """Time with the precision of an estimate: ``45 s``, ``12 min``, ``3.5 h``, ``2 days``."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{max(1, round(amount))} {unit}"
    return f"{seconds / 86400:.0f} days"
