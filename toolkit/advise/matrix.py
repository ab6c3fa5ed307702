"""The position in the matrix: small or large, similar or different, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.advise.evidence import Evidence
from toolkit.advise.measurement import Size
from toolkit.advise.thresholds import Cell, SizeRule

_CLEAR = 0.6
"""Evidence disagrees if it supports the other side with at least this probability."""


@dataclass(frozen=True)
class MatrixPosition:
    """Position of a data set in the matrix.

    Attributes:
        large: Probability of large, in [0, 1].
        similar: Probability of similar.
        dissenting: Names of the pieces of evidence that disagree.
    """

    large: float
    similar: float
    dissenting: tuple[str, ...]

    @property
    def size(self) -> Literal["small", "large"]:
        """The more likely one."""
        return "large" if self.large >= 0.5 else "small"

    @property
    def similarity(self) -> Literal["similar", "different"]:
        """The more likely one."""
        return "similar" if self.similar >= 0.5 else "different"

    @property
    def cell(self) -> Cell:
        """Name of the cell."""
        return self.cell_of(self.size)

    def cell_of(self, size: Literal["small", "large"]) -> Cell:
        """Return the name of the cell for data of this similarity and another size."""
        return f"{size}_{self.similarity}"  # type: ignore[return-value]

    @property
    def sure_of_size(self) -> float:
        """Probability of ``size``, in [0.5, 1]."""
        return max(self.large, 1 - self.large)

    @property
    def sure_of_similarity(self) -> float:
        """Probability of ``similarity``, in [0.5, 1]."""
        return max(self.similar, 1 - self.similar)

    @property
    def confidence(self) -> float:
        """Probability of the cell, treating size and similarity as independent, in [0.25, 1]."""
        return self.sure_of_size * self.sure_of_similarity


def locate(size: Size, evidence: Sequence[Evidence], rule: SizeRule) -> MatrixPosition:
    """Locate a data set in the matrix.

    Similarity is the weighted mean of the bounded log-odds of all pieces of evidence. None of them decides alone, and
    agreement never makes the result surer than the surest piece, because all see the same images through the same
    network.

    Args:
        size: Size of the data set.
        evidence: Evidence for or against similarity.
        rule: What counts as large.
    """
    weight = sum(piece.weight for piece in evidence)
    mean = sum(piece.weight * _log_odds(piece.similar) for piece in evidence) / weight if weight else 0.0
    similar = _probability(mean)
    against = [p.name for p in evidence if (p.similar >= _CLEAR if similar < 0.5 else p.similar <= 1 - _CLEAR)]
    return MatrixPosition(_large(size, rule), similar, tuple(against))


def _large(size: Size, rule: SizeRule) -> float:
    """Return the probability of large: both the whole set and each class must be large."""
    counts: list[tuple[float, float]] = [(size.images, rule.images)]
    if size.classes and size.median < size.images:  # images are divided into classes
        counts.append((size.median, rule.per_class))
    return min(_probability(math.log10(max(1.0, have) / least) / rule.scale) for have, least in counts)


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))
