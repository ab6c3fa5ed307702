"""Evidence for or against similarity to the source task, each piece with its value, reference and source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from toolkit.advise.measurement import Depth, Measurement
from toolkit.advise.probe import skill
from toolkit.advise.thresholds import Thresholds

_LOWER = 0.5
"""Fraction of the stages in the lower half."""
_SPREAD, _OF_ZOOM = 0.3, 0.2
"""Standard deviation of confidence over images, and its change when the image side is halved (observed 0.05 to 0.4)."""


@dataclass(frozen=True)
class EvidenceSpec:
    """One kind of evidence.

    Attributes:
        name: Key in JSON and in ``thresholds.json``.
        title: Title in tables.
        meaning: What it measures, and what it does not.
        source: Publications.
        value: Computes the value from a measurement; None if the measurement lacks it.
        detail: Returns the components of the value by name, if ``value`` is not None.
        error: Standard error of the value if few images make it uncertain; 0 if there are enough values.
    """

    name: str
    title: str
    meaning: str
    source: str
    value: Callable[[Measurement], float | None]
    detail: Callable[[Measurement], dict[str, float]]
    error: Callable[[Measurement], float] = lambda measured: 0.0


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence for one data set.

    Attributes:
        name: Key.
        title: Title in tables.
        value: The value.
        similar: Probability of similar by this evidence alone, in (0, 1).
        weight: Weight in the total: that of its kind, reduced if few images make it uncertain.
        error: Standard error of the value.
        reference: Ranges in the calibration's sets: similar (from, to) and different (from, to).
        meaning: What it measures.
        source: Publications.
        images: Number of images.
        detail: Components of the value: scores of the pretrained and the random network and of chance, as accuracy
            (multilabel: mean average precision, regression: R2); entropy as a fraction of uniform guessing; nats.
    """

    name: str
    title: str
    value: float
    similar: float
    weight: float
    error: float
    reference: tuple[tuple[float, float], tuple[float, float]]
    meaning: str
    source: str
    images: int
    detail: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        low, high = self.reference
        return {**asdict(self), "reference": {"similar": list(low), "different": list(high)}}


def _top_gain(measured: Measurement) -> float | None:
    """Return how much better the classes separate at the top than at the best stage of the lower half, in skill."""
    depth = measured.depth
    if depth is None or len(depth.scores) < 2:
        return None
    return skill(depth.scores[-1], depth.chance) - skill(max(_lower(depth)), depth.chance)


def _lower(depth: Depth) -> tuple[float, ...]:
    """Return the scores of the lower half of the stages."""
    return depth.scores[: max(1, int(_LOWER * len(depth.scores)))]


def _confidence_error(measured: Measurement) -> float:
    """Combine the standard error of the mean with the effect of image size: small maps make networks overconfident."""
    own = measured.own
    return math.hypot(_SPREAD / math.sqrt(own.images), _OF_ZOOM * math.log2(own.zoom)) if own else 0.0


def _gain(measured: Measurement, which: Literal["knn", "probe"]) -> float | None:
    """Return how much more the network's features reveal about the labels than a random network's, in skill."""
    codes = measured.codes
    if codes is None:
        return None
    pair = codes.knn if which == "knn" else codes.probe
    return skill(pair.pretrained, codes.chance) - skill(pair.random, codes.chance)


def _gain_error(measured: Measurement, which: Literal["knn", "probe"]) -> float:
    """Return the standard error of ``_gain``, a difference of two proportions."""
    codes = measured.codes
    if codes is None:
        return 0.0
    pair = codes.knn if which == "knn" else codes.probe
    variance = sum(max(0.0, score * (1 - score)) for score in (pair.pretrained, pair.random)) / codes.images
    return math.sqrt(variance) / max(1e-6, 1 - codes.chance)


def _top_error(measured: Measurement) -> float:
    depth = measured.depth
    return math.sqrt(2) * depth.errors[-1] / max(1e-6, 1 - depth.chance) if depth else 0.0


def _layers(measured: Measurement) -> dict[str, float]:
    layers = measured.batchnorm.layers if measured.batchnorm else ()
    return {"nearest_layer": min(layers), "farthest_layer": max(layers)} if layers else {}


def _predictions(measured: Measurement) -> dict[str, float]:
    own = measured.own
    return {"entropy": own.entropy, "chance": 1 / own.classes} if own else {}


def _halves(measured: Measurement) -> dict[str, float]:
    depth = measured.depth
    return {"top": depth.scores[-1], "lower_half": max(_lower(depth)), "chance": depth.chance} if depth else {}


def _both(measured: Measurement, which: Literal["knn", "probe", "logme"]) -> dict[str, float]:
    """Return the scores of both networks and of chance."""
    codes = measured.codes
    if codes is None:
        return {}
    pair = {"knn": codes.knn, "probe": codes.probe, "logme": codes.logme}[which]
    return {**pair.model_dump(), **({} if which == "logme" else {"chance": codes.chance})}


EVIDENCE: tuple[EvidenceSpec, ...] = (
    EvidenceSpec(
        "batchnorm",
        "distance of activation statistics",
        "nats between this data's mean and variance in each BatchNorm layer and those of pretraining (median over "
        "channels, mean over layers): colours, edges, texture, blur; not the content of the images",
        "Li et al. 2016, arXiv:1603.04779",
        lambda measured: measured.batchnorm.mean if measured.batchnorm else None,
        _layers,
    ),
    EvidenceSpec(
        "confidence",
        "confidence in its own classes",
        "mean largest probability of the network's own predictions: how much the images resemble something it knows",
        "Hendrycks & Gimpel 2016, arXiv:1610.02136",
        lambda measured: measured.own.confidence if measured.own else None,
        _predictions,
        _confidence_error,
    ),
    EvidenceSpec(
        "depth",
        "gain of the upper half",
        "linear probe at the top minus the best one in the lower half, from chance (0) to perfection (1): whether the "
        "late, specialised stages help here",
        "Alain & Bengio 2016, arXiv:1610.01644; Yosinski et al. 2014, arXiv:1411.1792",
        _top_gain,
        _halves,
        _top_error,
    ),
    EvidenceSpec(
        "knn",
        "nearest neighbours, gain over random",
        "5 nearest neighbours on the network's features minus the same on a random network's, from 0 to 1",
        "Wu et al. 2018, arXiv:1805.01978",
        lambda measured: _gain(measured, "knn"),
        lambda measured: _both(measured, "knn"),
        lambda measured: _gain_error(measured, "knn"),
    ),
    EvidenceSpec(
        "probe",
        "linear probe, gain over random",
        "cross-validated linear probe on the network's features minus the same on a random network's, from 0 to 1",
        "Alain & Bengio 2016, arXiv:1610.01644",
        lambda measured: _gain(measured, "probe"),
        lambda measured: _both(measured, "probe"),
        lambda measured: _gain_error(measured, "probe"),
    ),
    EvidenceSpec(
        "logme",
        "LogME, gain over random",
        "log evidence of a linear model on the features minus the same on a random network's, nats per image",
        "You et al. 2021, arXiv:2102.11005",
        lambda measured: measured.codes.logme.pretrained - measured.codes.logme.random if measured.codes else None,
        lambda measured: _both(measured, "logme"),
        lambda measured: 1 / math.sqrt(measured.codes.images) if measured.codes else 0.0,  # log densities vary by 0.7
    ),
)
"""All kinds of evidence, in the order of tables."""


def evidence_of(measured: Measurement, thresholds: Thresholds) -> tuple[Evidence, ...]:
    """Evaluate a measurement piece by piece, leaving out what is missing.

    Args:
        measured: The measurement.
        thresholds: The decision thresholds.
    """
    found = []
    for spec in EVIDENCE:
        value = spec.value(measured)
        if value is None or not math.isfinite(value):
            continue
        rule = thresholds.evidence[spec.name]
        own = {"batchnorm": measured.batchnorm, "confidence": measured.own, "depth": measured.depth}
        where = own.get(spec.name) or measured.codes
        error = spec.error(measured)
        similar = 1 / (1 + math.exp(-rule.log_odds(value, error)))
        found.append(
            Evidence(
                spec.name,
                spec.title,
                float(value),
                similar,
                rule.weight * rule.reliability(error),
                error,
                (rule.range_similar, rule.range_different),
                spec.meaning,
                spec.source,
                where.images if where else 0,
                spec.detail(measured),
            )
        )
    return tuple(found)
