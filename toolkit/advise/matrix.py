"""The place in the matrix: small or large, similar or different, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.advise.evidence import Evidence
from toolkit.advise.measurement import Size
from toolkit.advise.thresholds import Cell, SizeRule

_CLEAR = 0.6
"""A piece of evidence that is so sure of the other side disagrees."""


@dataclass(frozen=True)
class Place:
    """Where a data set is in the matrix.

    Attributes:
        large: Probability of large, in [0, 1].
        similar: Probability of similar.
        dissenting: Names of the pieces of evidence that say the opposite.
    """

    large: float
    similar: float
    dissenting: tuple[str, ...]

    @property
    def size(self) -> Literal["small", "large"]:
        """The likelier one."""
        return "large" if self.large >= 0.5 else "small"

    @property
    def similarity(self) -> Literal["similar", "different"]:
        """The likelier one."""
        return "similar" if self.similar >= 0.5 else "different"

    @property
    def cell(self) -> Cell:
        """Name of the cell, which is that of its preset."""
        return f"{self.size}_{self.similarity}"  # type: ignore[return-value]

    @property
    def sure_of_size(self) -> float:
        """Probability of what ``size`` says, in [0.5, 1]."""
        return max(self.large, 1 - self.large)

    @property
    def sure_of_similarity(self) -> float:
        """Probability of what ``similarity`` says, in [0.5, 1]."""
        return max(self.similar, 1 - self.similar)

    @property
    def confidence(self) -> float:
        """Probability of the cell: of both, as if they were independent; in [0.25, 1]."""
        return self.sure_of_size * self.sure_of_similarity


def place_of(size: Size, evidence: Sequence[Evidence], rule: SizeRule) -> Place:
    """Put a data set into the matrix.

    Similarity is the weighted mean of the log-odds of all pieces of evidence, each bounded: none decides alone, and
    agreement makes it no surer than the surest of them, as they see the same images through the same network.

    Args:
        size: How much data there is.
        evidence: What speaks for or against similarity.
        rule: From when on a data set is large.
    """
    weight = sum(piece.weight for piece in evidence)
    mean = sum(piece.weight * _log_odds(piece.similar) for piece in evidence) / weight if weight else 0.0
    similar = _probability(mean)
    against = [p.name for p in evidence if (p.similar >= _CLEAR if similar < 0.5 else p.similar <= 1 - _CLEAR)]
    return Place(_large(size, rule), similar, tuple(against))


def _large(size: Size, rule: SizeRule) -> float:
    """Both the whole and each class must be large: the smaller of the two decides."""
    counts: list[tuple[float, float]] = [(size.images, rule.images)]
    if size.classes and size.median < size.images:  # images are divided into classes
        counts.append((size.median, rule.per_class))
    return min(_probability(math.log10(max(1.0, have) / least) / rule.scale) for have, least in counts)


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))
