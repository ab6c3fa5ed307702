"""Choose a preset: by the first branch that applies, or by the matrix cell if the calibration has no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.advise.matrix import MatrixPosition
from toolkit.advise.measurement import Depth
from toolkit.advise.thresholds import Branch, Cell, MovingRule, PresetRule
from toolkit.config import PRESET_ALIASES, ModelConfig

ADVISED = (
    "linear_probe",
    "multi_stage_probe",
    "shallow_probe",
    "last_stages",
    "all_stages",
    "all_stages_bold",
    "most_stages",
)
"""Presets that the advisor may recommend, cheapest first."""
REACH = 8
"""Calibration results extend to this many times the number of images; beyond that, the matrix decides."""
HEAD_ALONE = "linear_probe", "multi_stage_probe", "shallow_probe"
"""Presets that only train a head."""
_OF_CELL: dict[Cell, tuple[str, str]] = {
    "small_similar": ("linear_probe", "last_stages"),
    "small_different": ("most_stages", "shallow_probe"),
    "large_similar": ("last_stages", "all_stages"),
    "large_different": ("all_stages_bold", "all_stages"),
}
"""Preset and runner-up of each matrix cell."""


@dataclass(frozen=True)
class Situation:
    """The inputs for choosing a preset.

    Attributes:
        train_images: Training images.
        per_class: Images in the median class.
        similar: Probability of similar to the source task, in [0, 1].
        ahead: Score of a linear probe on the last stage minus the score at the cut of ``shallow_probe``.
        ahead_error: Standard error of ``ahead``; None if it was not measured.
    """

    train_images: int
    per_class: float
    similar: float
    ahead: float = 0.0
    ahead_error: float | None = None


@dataclass(frozen=True)
class Choice:
    """A preset and the case for it.

    Attributes:
        preset: Its name.
        loss: How much worse than the best preset it was in the calibration's situations of this branch, in top-1
            accuracy. The rule was derived from these, so the loss ranks presets but is no prediction; None if unknown,
            or if the task has another metric.
        branch: Kind of situation; None if the matrix decided.
        situations: Number of situations averaged.
    """

    preset: str
    loss: float | None = None
    branch: Branch | None = None
    situations: int = 0


def branch_of(situation: Situation, rule: PresetRule) -> Branch:
    """Return the first branch that applies, in the order of ``Branch``."""
    if situation.train_images < rule.few:
        return "few"
    if rule.lead is not None and situation.ahead_error and situation.ahead < -rule.lead * situation.ahead_error:
        return "shallow"
    return "rest" if situation.similar >= 0.5 else "unlike"


def matrix_preset(cell: Cell) -> str:
    """Return the matrix's preset for a cell."""
    return _OF_CELL[cell][0]


def is_of_cell(preset: str, cell: Cell) -> bool:
    """Return whether the matrix names a preset in a cell; for small and different data, it names two."""
    return preset in (PRESET_ALIASES.get(name) for name in PRESET_ALIASES if name.partition("/")[0] == cell)


def rank_presets(situation: Situation, position: MatrixPosition, rule: PresetRule, moving: MovingRule) -> list[Choice]:
    """Return at least two presets, the recommended one first.

    Where the calibration has no answer, the matrix's preset is used: the one for large data as soon as fine-tuning
    stages pays.

    Args:
        situation: The measured situation.
        position: Its position in the matrix.
        rule: The rule for presets.
        moving: From which size on fine-tuning stages pays.
    """
    if rule.kind == "matrix":
        return _matrix(position.cell)
    pays = moving.pays(situation.train_images, situation.per_class)
    own = _matrix(position.cell_of("large" if pays else "small"))
    if not within_reach(situation, rule):
        return own
    branch = branch_of(situation, rule)
    found = rule.branches.get(branch)
    if found is None:
        return own
    presets = [found.preset, *sorted(found.losses.keys() - {found.preset}, key=lambda preset: found.losses[preset])]
    presets += [choice.preset for choice in own if choice.preset not in presets]
    return [Choice(preset, found.losses.get(preset), branch, found.situations) for preset in presets]


def _matrix(cell: Cell) -> list[Choice]:
    return [Choice(preset) for preset in _OF_CELL[cell]]


def within_reach(situation: Situation, rule: PresetRule) -> bool:
    """Return whether the calibration covers this number of images."""
    return situation.train_images <= REACH * rule.most_images and situation.per_class <= REACH * rule.most_per_class


def possible(choices: Sequence[Choice], depth: Depth | None, stages: int) -> list[Choice]:
    """Replace shallow features by a head on top unless some earlier stage is better than the last.

    Args:
        choices: Presets, the recommended one first.
        depth: The probes, if there are any.
        stages: Number of stages.
    """
    if depth is None or best_stage(depth) < stages:
        return list(choices)
    found: dict[str, Choice] = {}
    for choice in choices:
        preset = "linear_probe" if choice.preset == "shallow_probe" else choice.preset
        found.setdefault(preset, replace(choice, preset=preset))
    rest = [Choice(preset) for preset in ("linear_probe", "all_stages") if preset not in found]
    return [*found.values(), *(rest if len(found) < 2 else ())]


def why_one_stage(model: ModelConfig) -> str | None:
    """Return why the head of a config cannot be made to read several stages; None if it can."""
    if model.head.stages is not None:
        return "model.head.stages already sets what the head reads"
    return None if model.pooling in ("avg", "max") else f"model.pooling: {model.pooling} reads one map"


def best_stage(depth: Depth, allowed: Sequence[int] | None = None) -> int:
    """Return the number of stages to keep for a linear head: the fewest within half an error of the best probe.

    Args:
        depth: The probes.
        allowed: Numbers of stages to choose from; None: all.

    Returns:
        A number in [1, stages].
    """
    counts = list(allowed or range(1, len(depth.scores) + 1))
    best = max(counts, key=lambda count: depth.scores[count - 1])
    enough = depth.scores[best - 1] - 0.5 * depth.errors[best - 1]
    return next(count for count in counts if depth.scores[count - 1] >= enough)
