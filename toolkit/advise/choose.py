"""Which preset: the cell's own, or the one that lost least in measured situations like this one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.advise.measurement import Depth
from toolkit.advise.place import Place
from toolkit.advise.thresholds import Cell, PresetRule, Situation

__all__ = ["ADVISED", "HEAD_ALONE", "Choice", "best_stage", "expected_losses", "nearness", "rank_presets"]

ADVISED = (
    "small_similar",
    "small_different/shallow_features",
    "large_similar",
    "finetune",
    "large_different",
    "small_different/finetune_most",
)
"""Presets that advice may name, the cheapest first."""
_REACH = 8
"""What was found with so many images holds for so many times as many; for more the matrix holds."""
HEAD_ALONE = _ALL, _SHALLOW = "small_similar", "small_different/shallow_features"
"""Those among them that train nothing but a head."""
_OF_CELL: dict[Cell, tuple[str, str]] = {
    "small_similar": ("small_similar", "large_similar"),
    "small_different": ("small_different/finetune_most", "small_different/shallow_features"),
    "large_similar": ("large_similar", "finetune"),
    "large_different": ("large_different", "finetune"),
}
"""Cell of the matrix -> its preset, and the next one."""


@dataclass(frozen=True)
class Choice:
    """A preset and what speaks for it.

    Attributes:
        title: ``small_different/shallow_features``.
        loss: How much worse than the best it was in situations like this one, in the metric's unit; None: not known.
        like: Names of the situations that counted most.
    """

    title: str
    loss: float | None = None
    like: tuple[str, ...] = ()


def nearness(one: Situation, other: Situation, bandwidth: float) -> float:
    """How much one situation tells of another, in [0, 1]: a Gaussian kernel.

    A factor of ten in images of a class, or in all images, is a distance of 1. Similarity, the skill of a linear probe
    and what the upper half of the network adds to it go from 0 to 1, and count doubly.
    """
    square = (
        math.log10(max(1.0, one.per_class) / max(1.0, other.per_class)) ** 2
        + math.log10(max(1, one.train_images) / max(1, other.train_images)) ** 2
        + (2 * (one.similar - other.similar)) ** 2
        + (2 * (one.skill - other.skill)) ** 2
        + (2 * (one.gain - other.gain)) ** 2
    )
    return math.exp(-square / (2 * bandwidth**2))


def expected_losses(here: Situation, rule: PresetRule) -> dict[str, float]:
    """For each preset the mean of what it lost to the best in the rule's situations, the near ones counting most.

    Args:
        here: Where advice is wanted; its scores do not count.
        rule: With situations.

    Returns:
        Title -> loss in the metric's unit, >= 0. Presets that were not tried are left out.
    """
    sums: dict[str, list[float]] = {}
    for there in rule.situations:
        tried = {title: there.scores[title] for title in ADVISED if title in there.scores}
        if not tried:
            continue
        weight = max(nearness(here, there, rule.bandwidth), 1e-9)
        best = max(tried.values())
        for title, score in tried.items():
            total = sums.setdefault(title, [0.0, 0.0])
            total[0] += weight * (best - score)
            total[1] += weight
    return _corrected(here, rule, {title: loss / weight for title, (loss, weight) in sums.items()})


def _corrected(here: Situation, rule: PresetRule, losses: dict[str, float]) -> dict[str, float]:
    """Losses with what the probes of this very data say of all features against shallow ones.

    The lead that situations like it have and the lead that was measured are weighted by their variances.
    """
    if not rule.spread or here.ahead_error is None or not {_ALL, _SHALLOW} <= set(losses):
        return losses
    usual, trust = losses[_SHALLOW] - losses[_ALL], rule.spread**2 / (rule.spread**2 + here.ahead_error**2)
    changed = {**losses, _SHALLOW: losses[_ALL] + trust * here.ahead + (1 - trust) * usual}
    least = min(changed.values())
    return {title: loss - least for title, loss in changed.items()}


def rank_presets(here: Situation, place: Place, rule: PresetRule) -> list[Choice]:
    """Presets, the recommended one first; at least two.

    Args:
        here: What was measured.
        place: Its place in the matrix.
        rule: What decides.
    """
    own = [Choice(title) for title in _OF_CELL[place.cell]]
    losses = expected_losses(here, rule) if rule.kind == "nearest" and _within(here, rule) else {}
    if len(losses) < len(own):
        return own
    least = min(losses.values())
    tied = [title for title in ADVISED if title in losses and losses[title] <= least + rule.tie]
    rest = sorted((title for title in losses if title != tied[0]), key=lambda title: losses[title])
    near = sorted(rule.situations, key=lambda there: -nearness(here, there, rule.bandwidth))
    like = tuple(there.name for there in near[:3])
    return [Choice(title, losses[title], like) for title in (tied[0], *rest)]


def _within(here: Situation, rule: PresetRule) -> bool:
    """Whether some situation has nearly as many images: beyond all of them the calibration says nothing."""
    return any(
        there.train_images * _REACH >= here.train_images and there.per_class * _REACH >= here.per_class
        for there in rule.situations
    )


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
