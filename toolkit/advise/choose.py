"""Which preset: that of the first branch that applies, or the cell's own where the calibration says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.advise.matrix import Place
from toolkit.advise.measurement import Depth
from toolkit.advise.thresholds import Branch, Cell, PresetRule

ADVISED = (
    "small_similar",
    "small_different/shallow_features",
    "large_similar",
    "finetune",
    "large_different",
    "small_different/finetune_most",
)
"""Presets that advice may name, the cheapest first."""
REACH = 8
"""What was found with so many images holds for so many times as many; for more the matrix holds."""
HEAD_ALONE = "small_similar", "small_different/shallow_features"
"""Those among them that train nothing but a head."""
_OF_CELL: dict[Cell, tuple[str, str]] = {
    "small_similar": ("small_similar", "large_similar"),
    "small_different": ("small_different/finetune_most", "small_different/shallow_features"),
    "large_similar": ("large_similar", "finetune"),
    "large_different": ("large_different", "finetune"),
}
"""Cell of the matrix -> its preset, and the next one."""


@dataclass(frozen=True)
class Situation:
    """What a preset is chosen by.

    Attributes:
        train_images: Training images.
        per_class: Images of the median class.
        similar: How similar to the source task the evidence is, in [0, 1].
        batch_norm: The network has BatchNorm layers.
        ahead: Score of a linear probe on the last stage minus that where ``shallow_features`` cuts.
        ahead_error: Its standard error; None where nothing was measured.
    """

    train_images: int
    per_class: float
    similar: float
    batch_norm: bool
    ahead: float = 0.0
    ahead_error: float | None = None


@dataclass(frozen=True)
class Choice:
    """A preset and what speaks for it.

    Attributes:
        title: ``small_different/shallow_features``.
        loss: How much worse than the best it was in the calibration's situations of this branch, in top-1 accuracy.
            The rule was made from these, so it orders presets and promises nothing; None: not known, or another metric
            counts here.
        branch: Which kind of situation this is; None: the matrix decided.
        situations: Of how many situations that is the mean.
    """

    title: str
    loss: float | None = None
    branch: Branch | None = None
    situations: int = 0


def branch_of(here: Situation, rule: PresetRule) -> Branch:
    """The first branch that applies, in the order of ``Branch``."""
    if here.train_images < rule.few:
        return "few"
    if rule.lead is not None and here.ahead_error and here.ahead < -rule.lead * here.ahead_error:
        return "shallow"
    return "rest" if here.batch_norm or here.similar >= 0.5 else "unlike"


def own_preset(cell: Cell) -> str:
    """Title of the matrix's own preset for a cell."""
    return _OF_CELL[cell][0]


def rank_presets(here: Situation, place: Place, rule: PresetRule) -> list[Choice]:
    """Presets, the recommended one first; at least two.

    Args:
        here: What was measured.
        place: Its place in the matrix.
        rule: What decides.
    """
    own = [Choice(title) for title in _OF_CELL[place.cell]]
    if rule.kind == "matrix" or not within_reach(here, rule):
        return own
    branch = branch_of(here, rule)
    found = rule.branches.get(branch)
    if found is None:
        return own
    titles = [found.preset, *sorted(found.losses.keys() - {found.preset}, key=lambda title: found.losses[title])]
    titles += [choice.title for choice in own if choice.title not in titles]
    return [Choice(title, found.losses.get(title), branch, found.situations) for title in titles]


def within_reach(here: Situation, rule: PresetRule) -> bool:
    """Whether some situation had nearly as many images: beyond all of them the calibration says nothing."""
    return here.train_images <= REACH * rule.most_images and here.per_class <= REACH * rule.most_per_class


def best_stage(depth: Depth, allowed: Sequence[int] | None = None) -> int:
    """Number of stages to keep for a linear head: where the probe is best, or the lowest within half an error of it.

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
