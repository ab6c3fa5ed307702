"""The decision thresholds in ``thresholds.json``, written by ``benchmarks/calibrate.py derive``."""

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
    """How one value counts for or against similarity.

    Attributes:
        threshold: Value at which it is neutral.
        scale: Distance from the threshold (in natural logarithms if ``log``) at which the odds are e to 1.
        log: Compare by ratio.
        similar: Side of the threshold that is similar to the source task.
        weight: Weight in the mean of all evidence.
        range_similar: Smallest and largest value in the calibration's similar sets.
        range_different: The same for the different sets.
    """

    threshold: float
    scale: float = Field(gt=0)
    log: bool = False
    similar: Literal["above", "below"] = "above"
    weight: float = Field(ge=0)
    range_similar: tuple[float, float]
    range_different: tuple[float, float]

    def log_odds(self, value: float, error: float = 0.0) -> float:
        """Return the natural logarithm of the odds for similar, in [-3, 3].

        Args:
            value: The measured value.
            error: Its standard error, which widens the scale.
        """
        distance = math.log(max(value, 1e-12) / self.threshold) if self.log else value - self.threshold
        sign = 1.0 if self.similar == "above" else -1.0
        return max(-_MOST, min(_MOST, sign * distance / math.hypot(self.scale, error)))

    def reliability(self, error: float) -> float:
        """Return the fraction of the weight kept by a value with this standard error, in (0, 1] (inverse variances)."""
        return self.scale**2 / (self.scale**2 + error**2)


class SizeRule(_Numbers):
    """What counts as a large data set: a rule of thumb, not a result of the calibration.

    Attributes:
        images: Minimum number of training images.
        per_class: Minimum number of images in the median class.
        scale: Distance from the threshold, in powers of 10, at which the odds are e to 1.
    """

    images: float = Field(default=1000, gt=0)
    per_class: float = Field(default=100, gt=0)
    scale: float = Field(default=0.25, gt=0)


class MovingRule(_Numbers):
    """The size from which fine-tuning stages clearly paid off in the calibration, long before a data set is large.

    Attributes:
        images: Number of training images.
        per_class: Number of images in the median class.
    """

    images: float = Field(gt=0)
    per_class: float = Field(gt=0)

    def pays(self, images: int, per_class: float) -> bool:
        """Return whether a data set is that large.

        Args:
            images: Training images.
            per_class: Images in the median class; ``images`` if they are not divided into classes.
        """
        return images >= self.images and per_class >= self.per_class


class BranchRule(_Numbers):
    """Results of the calibration for one kind of situation.

    Attributes:
        preset: The preset to use.
        losses: For each preset, how much worse than the best it was on average, in the metric's unit.
        situations: Number of situations.
    """

    preset: str
    losses: dict[str, float] = {}
    situations: int


class PresetRule(_Numbers):
    """How to choose a preset.

    Attributes:
        kind: ``matrix``: by cell; ``branches``: by the first branch that applies.
        few: Branch ``few`` applies below this number of training images: from which fine-tuning stages pays, or 0.
        lead: Branch ``shallow`` applies if a probe on shallow features beats one on the last stage by more than this
            many standard errors; None: never.
        branches: Presets of the branches; ``unlike`` is for different images, ``rest`` for similar ones.
        most_images: Largest number of training images in the calibration.
        most_per_class: Largest number of images in the median class in the calibration.
        validation: Results of the rule on data sets held out of the calibration, by name.
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
        """How much worse than the best preset the advice was on held-out data sets, in top-1 accuracy."""
        return self.validation.get(f"{self.kind}: regret")


class Regulariser(_Numbers):
    """The gain from an option in the calibration.

    Attributes:
        option: Override as on the command line: ``train.mixup=0.2``.
        head_alone: It was tried with only a head on frozen stages; otherwise with trainable stages.
        gain: Mean difference of the main metric, with the option minus without.
        error: Standard error of the gain over runs.
        runs: Pairs of runs.
        least_images: Training images in the smallest run.
        most_images: Training images in the largest run; the gain is unknown for many more.
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
        """Whether the gain is significant: more than twice its standard error."""
        return self.gain > 2 * self.error


class Thresholds(_Numbers):
    """All thresholds.

    Attributes:
        version: Version of the format.
        provisional: The preset is that of the matrix, without results.
        rows: Number of results that they were derived from.
        sets: Data sets that they were derived from.
        networks: Networks that they were derived with.
        size: Rule of thumb for small or large.
        moving: From which size on fine-tuning stages pays.
        evidence: Rules for similar or different, one per piece of evidence.
        rule: Rule for the preset.
        regularisers: Gains from options.
    """

    version: Literal[1]
    provisional: bool
    rows: int
    sets: tuple[str, ...]
    networks: tuple[str, ...] = ("mobilenet_v2", "squeezenet1_1")
    size: SizeRule = SizeRule()
    moving: MovingRule
    evidence: dict[str, EvidenceRule]
    rule: PresetRule
    regularisers: tuple[Regulariser, ...] = ()


@lru_cache(maxsize=1)
def load_thresholds() -> Thresholds:
    """Load the installed thresholds."""
    return Thresholds.model_validate_json(_FILE.read_bytes())
