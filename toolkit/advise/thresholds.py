"""The numbers that decide: one file, ``thresholds.json``, that ``benchmarks/calibrate.py derive`` writes."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_FILE = Path(__file__).with_name("thresholds.json")
_MOST = 3.0
Cell = Literal["small_similar", "small_different", "large_similar", "large_different"]
Branch = Literal["few", "shallow", "unlike", "rest"]


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EvidenceRule(_Numbers):
    """How one number speaks for or against similarity.

    Attributes:
        threshold: Where it says nothing.
        scale: So far from there (in natural logarithms where ``log``) it says e to 1.
        log: The number is compared by ratio.
        similar: Which side of the threshold is similar to the source task.
        weight: Its share in the mean of all.
        range_similar: Least and largest value of the calibration's similar sets.
        range_different: The same of the different ones.
    """

    threshold: float
    scale: float = Field(gt=0)
    log: bool = False
    similar: Literal["above", "below"] = "above"
    weight: float = Field(ge=0)
    range_similar: tuple[float, float]
    range_different: tuple[float, float]

    def log_odds(self, value: float, error: float = 0.0) -> float:
        """Natural logarithm of the odds for similar, in [-3, 3].

        Args:
            value: What was measured.
            error: Its standard error, which widens the scale.
        """
        distance = math.log(max(value, 1e-12) / self.threshold) if self.log else value - self.threshold
        sign = 1.0 if self.similar == "above" else -1.0
        return max(-_MOST, min(_MOST, sign * distance / math.hypot(self.scale, error)))

    def reliability(self, error: float) -> float:
        """Share of the weight that a number with this standard error keeps, in (0, 1] (inverse variances)."""
        return self.scale**2 / (self.scale**2 + error**2)


class SizeRule(_Numbers):
    """From when on a data set is large.

    Attributes:
        images: Training images, at least.
        per_class: Images of the median class, at least.
        scale: A factor of 10 to the power of this from there makes the odds e to 1.
    """

    images: float = Field(gt=0)
    per_class: float = Field(gt=0)
    scale: float = Field(gt=0)


class BranchRule(_Numbers):
    """What the calibration found in situations of one kind.

    Attributes:
        preset: Title of the one to take (``small_different/shallow_features``).
        losses: Title of each preset -> how much worse than the best it was there on average, in the metric's unit.
        situations: Number of situations.
    """

    preset: str
    losses: dict[str, float] = {}
    situations: int


class PresetRule(_Numbers):
    """How a preset follows from all that.

    Attributes:
        kind: ``matrix``: the cell's own; ``branches``: the first branch that applies has a preset.
        few: Branch ``few``: fewer training images than this: where a data set becomes large, or 0.
        lead: Branch ``shallow``: a probe on shallow features is better than one on the last by more than so many of its
            standard errors; None: never.
        branches: The branches' presets; ``unlike`` is for different images and a network without BatchNorm, ``rest``
            for all others.
        most_images: Most training images of the calibration's situations.
        most_per_class: The same of the median class.
        validation: What the calibration said of the rule on sets that it had not seen: name -> number.
    """

    kind: Literal["matrix", "branches"]
    few: int = Field(default=0, ge=0)
    lead: float | None = Field(default=None, ge=0)
    branches: dict[Branch, BranchRule] = {}
    most_images: int = 0
    most_per_class: float = 0
    validation: dict[str, float] = {}

    @property
    def held_out(self) -> float | None:
        """How much worse than the best preset the advice was on sets that the rule had not seen, in top-1 accuracy."""
        return self.validation.get(f"{self.kind}: regret")


class Regulariser(_Numbers):
    """What an option has added to a preset in the calibration.

    Attributes:
        option: As on a command line: ``train.mixup=0.2``.
        head_alone: It was tried with a head on frozen stages; otherwise where stages move.
        gain: Mean difference of the main metric, with the option minus without.
        error: Its standard error, over runs.
        runs: Pairs of runs.
        least_images: Training images of the smallest of them.
        most_images: Training images of the largest; with many more nothing is known.
    """

    option: str
    head_alone: bool
    gain: float
    error: float
    runs: int
    least_images: int
    most_images: int

    @property
    def pays(self) -> bool:
        """Whether the gain is surely one: more than twice its standard error."""
        return self.gain > 2 * self.error


class Thresholds(_Numbers):
    """All of it.

    Attributes:
        version: Of the format.
        provisional: No results stand behind size and preset: they are set by hand.
        rows: Results that it was derived from.
        sets: Data sets that it was derived from.
        networks: Networks that it was derived with.
        size: Small or large.
        evidence: Similar or different: one rule a piece of evidence.
        rule: Which preset.
        regularisers: What options have added to presets.
    """

    version: Literal[1]
    provisional: bool
    rows: int
    sets: tuple[str, ...]
    networks: tuple[str, ...] = ("mobilenet_v2", "squeezenet1_1")
    size: SizeRule
    evidence: dict[str, EvidenceRule]
    rule: PresetRule
    regularisers: tuple[Regulariser, ...] = ()


@lru_cache(maxsize=1)
def load_thresholds() -> Thresholds:
    """The installed numbers."""
    return Thresholds.model_validate_json(_FILE.read_bytes())
