"""The part of ``train`` that sets the learning rate schedule."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from toolkit.config.section import Fraction, Section


class ScheduleConfig(Section):
    """Learning rate schedule over the steps of a phase; restarts with each phase."""

    schedule: Literal[
        "cosine", "linear", "polynomial", "step", "multistep", "exponential", "one_cycle", "constant", "plateau"
    ] = "cosine"
    """Learning rate over time; `plateau` leaves it to `callbacks.reduce_on_plateau`, which also works on top of every
    other schedule."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs of linear warm-up, applied per step; may be fractional."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up, instead of `warmup_epochs`."""
    end_factor: float = Field(default=0.0, ge=0, lt=1)
    """`cosine`, `linear`, `polynomial`: final rate as a fraction of the initial one."""
    polynomial_power: float = Field(default=2.0, gt=0)
    """`polynomial`: power of the fraction of remaining steps; 1 is `linear`."""
    step_epochs: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 0.75)
    """`step`, `multistep`: when the rate drops, as fractions of the phase including warm-up (below 1), or as epochs."""
    step_every: float | None = Field(default=None, gt=0)
    """`step`: epochs between drops, instead of `step_epochs`."""
    step_gamma: Fraction = 0.1
    """`step`, `multistep`: factor of each drop."""
    exponential_gamma: Fraction = 0.9
    """`exponential`: factor per epoch, spread over its steps."""
    one_cycle_rise: Fraction = 0.3
    """`one_cycle`: fraction of the steps during which the rate rises; it falls during the rest."""

    @model_validator(mode="after")
    def _schedule_is_one(self) -> ScheduleConfig:
        if self.warmup_steps is not None and self.warmup_epochs:
            raise ValueError("warmup_steps and warmup_epochs both set the length of the warm-up: use only one of them")
        if self.schedule == "one_cycle" and (self.warmup_steps or self.warmup_epochs):
            raise ValueError("schedule: one_cycle has its own rise: leave out the warm-up, or set one_cycle_rise")
        if self.schedule == "multistep" and self.step_every is not None:
            raise ValueError("step_every belongs to schedule: step; multistep drops at step_epochs")
        drops = self.step_epochs
        if any(value < 1 for value in drops) and any(value >= 1 for value in drops):
            raise ValueError("step_epochs must be either fractions of the phase, all below 1, or epochs, all 1 or more")
        if any(first >= second for first, second in pairwise(drops)):
            raise ValueError(f"step_epochs must increase (found {', '.join(f'{value:g}' for value in drops)})")
        return self
