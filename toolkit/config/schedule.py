"""The part of ``train`` that says how the learning rate goes over time."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from toolkit.config.section import Fraction, Section


class ScheduleConfig(Section):
    """How the learning rate goes over the steps of a phase; each phase begins anew."""

    schedule: Literal[
        "cosine", "linear", "polynomial", "step", "multistep", "exponential", "one_cycle", "constant", "plateau"
    ] = "cosine"
    """Learning rate over time; `plateau` reduces it when `callbacks.reduce_on_plateau` says so, which works on top of
    every other schedule too."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs of linear warm-up, in steps; fractions allowed."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up, instead of `warmup_epochs`."""
    end_factor: float = Field(default=0.0, ge=0, lt=1)
    """`cosine`, `linear`, `polynomial`: share of the rate that is left at the end."""
    polynomial_power: float = Field(default=2.0, gt=0)
    """`polynomial`: power of the share of steps that are left; 1 is `linear`."""
    step_epochs: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 0.75)
    """`step`, `multistep`: where the rate drops: fractions of the phase, warm-up included (below 1), or its epochs."""
    step_every: float | None = Field(default=None, gt=0)
    """`step`: drop every so many epochs, instead of `step_epochs`."""
    step_gamma: Fraction = 0.1
    """`step`, `multistep`: factor of each drop."""
    exponential_gamma: Fraction = 0.9
    """`exponential`: factor an epoch, spread over its steps."""
    one_cycle_rise: Fraction = 0.3
    """`one_cycle`: share of the steps in which the rate rises; it falls in the others."""

    @model_validator(mode="after")
    def _schedule_is_one(self) -> ScheduleConfig:
        if self.warmup_steps is not None and self.warmup_epochs:
            raise ValueError("warmup_steps and warmup_epochs both say how long the warm-up is: use one of them")
        if self.schedule == "one_cycle" and (self.warmup_steps or self.warmup_epochs):
            raise ValueError("schedule: one_cycle rises by itself: leave the warm-up out, or set one_cycle_rise")
        if self.schedule == "multistep" and self.step_every is not None:
            raise ValueError("step_every belongs to schedule: step; multistep drops at step_epochs")
        drops = self.step_epochs
        if any(value < 1 for value in drops) and any(value >= 1 for value in drops):
            raise ValueError(
                "step_epochs are fractions of the phase, all below 1, or epochs, all 1 or more: do not mix"
            )
        if any(first >= second for first, second in pairwise(drops)):
            raise ValueError(f"step_epochs must rise (found {', '.join(f'{value:g}' for value in drops)})")
        return self
