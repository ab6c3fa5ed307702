"""Rank networks by what their features show of the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from toolkit.advise.measurement import Depth, Measurement
from toolkit.zoo import get_spec
from toolkit.zoo.measurements import measured_networks


@dataclass(frozen=True)
class NetworkRow:
    """One network in the ranking.

    Attributes:
        network: Its name.
        imagenet: Published ImageNet top-1 accuracy of the zoo's weights; None if not known, or if the measured weights
            have no ImageNet classifier.
        probe: Score of a cross-validated linear probe on the last stage's features; None if not measured.
        error: Its standard error.
        behind: By how much the score is below the best one.
        behind_error: Standard error of that, paired over the same images where the metric allows it.
        logme: LogME, nats per image.
        knn: Score of the nearest neighbours.
        parameters: Weights of the network with its own classifier; None if the zoo does not know.
        macs: Multiply-accumulates for one image of the measured size, by area from the native size; None likewise.
        seconds: Time that the measurement took.
        preset: The preset that the advisor recommends for it.
    """

    network: str
    imagenet: float | None
    probe: float | None
    error: float | None
    behind: float | None
    behind_error: float | None
    logme: float | None
    knn: float | None
    parameters: int | None
    macs: float | None
    seconds: float
    preset: str

    @property
    def is_tied(self) -> bool:
        """Whether it is within one standard error of the best network (or is the best)."""
        return self.behind is not None and self.behind_error is not None and self.behind <= self.behind_error

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """Networks by their probes.

    Attributes:
        rows: The networks: those within one standard error of the best probe, the cheapest first; then the others, the
            best probe first; those without a probe last.
        second: The one of the others with the best probe; None if no other was measured.
        sure: Probability that the recommended network has a better probe on new images than ``second``, in [0, 1].
        baseline: The network that published ImageNet top-1 alone would choose; None if it is known of fewer than two.
    """

    rows: tuple[NetworkRow, ...]
    second: NetworkRow | None
    sure: float
    baseline: NetworkRow | None

    @property
    def first(self) -> NetworkRow:
        """The recommended network."""
        return self.rows[0]

    @property
    def tied(self) -> tuple[NetworkRow, ...]:
        """The networks that cannot be told from the best one, itself included."""
        return tuple(row for row in self.rows if row.is_tied)

    def costs(self) -> dict[str, float]:
        """Return each network's cost for one image relative to the cheapest; see ``costs_of``."""
        return costs_of(self.rows)


def costs_of(rows: Sequence[NetworkRow]) -> dict[str, float]:
    """Return each network's cost for one image relative to the cheapest: multiply-accumulates, or else seconds."""
    macs = {row.network: row.macs for row in rows}
    known = {name: value for name, value in macs.items() if value}
    found = known if len(known) == len(macs) else {row.network: max(row.seconds, 0.1) for row in rows}
    return {name: value / min(found.values()) for name, value in found.items()}


def rank(measured: Sequence[Measurement], presets: Sequence[str], image_size: int) -> Ranking | None:
    """Rank networks measured on the same images.

    Networks within one standard error of the best cannot be told from it, and the cheapest of them is recommended
    (the one-standard-error rule: Breiman et al. 1984, Classification and Regression Trees, section 3.4.3).

    Args:
        measured: A measurement for each network.
        presets: The preset recommended for each.
        image_size: Side of the images, pixels.

    Returns:
        The ranking; None if no probe could be measured.
    """
    depths = [each.depth for each in measured if each.depth is not None]
    if not depths:
        return None
    best = max(depths, key=lambda depth: depth.scores[-1])
    rows = [_row(each, preset, best, image_size) for each, preset in zip(measured, presets, strict=True)]
    costs = costs_of(rows)
    rows.sort(key=lambda row: -math.inf if row.probe is None else row.probe, reverse=True)
    rows.sort(key=lambda row: (not row.is_tied, costs[row.network] if row.is_tied else 0.0))
    first, others = rows[0], [row for row in rows[1:] if row.probe is not None]
    second = max(others, key=lambda row: row.probe or 0.0, default=None)
    by_name = {each.network: each.depth for each in measured}
    one, other = by_name[first.network], by_name[second.network] if second else None
    sure = 1.0
    if one is not None and other is not None:
        lead, error = difference(one, other)
        sure = NormalDist().cdf(lead / error)
    return Ranking(tuple(rows), second, sure, _baseline(rows))


def difference(one: Depth, other: Depth) -> tuple[float, float]:
    """Return how much better the last stage of one network is than another's, and the standard error.

    The images and folds are the same, so that what is hard for both cancels out: the error is that of the mean
    difference per image. As in the race, it is never 0, however few the images.

    Args:
        one: Probes of one network.
        other: Probes of the other.
    """
    lead, smallest = one.scores[-1] - other.scores[-1], math.sqrt(2) / (min(one.images, other.images) + 1)
    if one.each is None or other.each is None or len(one.each) != len(other.each) or len(one.each) < 2:
        return lead, math.hypot(one.errors[-1], other.errors[-1], smallest)
    each = np.subtract(one.each, other.each)
    return lead, math.hypot(float(each.std(ddof=1)) / math.sqrt(len(each)), smallest)


def _row(measured: Measurement, preset: str, best: Depth, image_size: int) -> NetworkRow:
    spec, size = get_spec(measured.network), measured_networks().get(measured.network)
    depth, codes, own = measured.depth, measured.codes, measured.own
    behind = (0.0, 0.0) if depth is best else difference(best, depth) if depth else (None, None)
    return NetworkRow(
        network=measured.network,
        imagenet=spec.top1 if own and own.classes == spec.classes else None,
        probe=depth.scores[-1] if depth else None,
        error=depth.errors[-1] if depth else None,
        behind=behind[0],
        behind_error=behind[1],
        logme=codes.logme.pretrained if codes else None,
        knn=codes.knn.pretrained if codes else None,
        parameters=size.parameters if size else None,
        macs=size.macs * (image_size / size.image_size) ** 2 if size else None,
        seconds=measured.seconds,
        preset=preset,
    )


def _baseline(rows: Sequence[NetworkRow]) -> NetworkRow | None:
    known = [row for row in rows if row.imagenet is not None]
    return max(known, key=lambda row: row.imagenet or 0.0) if len(known) > 1 else None
