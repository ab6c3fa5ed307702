"""Measurements made by hand."""

from __future__ import annotations

from typing import Any

from toolkit.advise.measurement import Codes, Depth, Distances, Measurement, Own, Pair, Size, StageFacts

STAGES = ("a", "b", "c", "d")


def measurement(**changes: Any) -> Measurement:
    """Of a set that looks like ImageNet's; ``changes`` replace fields."""
    values: dict[str, Any] = {
        "network": "resnet18",
        "task": "classification",
        "size": Size(images=200, classes=4, least=50, median=50, most=50),
        "sample": 200,
        "stages": tuple(StageFacts(name=name, shape=(8, 4, 4), parameters=100, width=8) for name in STAGES),
        "codes": _codes(knn=(0.9, 0.3), probe=(0.95, 0.4), logme=(0.5, 0.0)),
        "depth": Depth(images=200, chance=0.25, scores=(0.3, 0.5, 0.8, 0.95), errors=(0.03, 0.03, 0.03, 0.02)),
        "batchnorm": Distances(images=128, layers=(0.01, 0.02)),
        "own": Own(images=200, classes=1000, confidence=0.7, entropy=0.2),
        "missing": {},
    }
    return Measurement(**{**values, **changes})


def strange(**changes: Any) -> Measurement:
    """Of a set that does not look like ImageNet's."""
    values: dict[str, Any] = {
        "codes": _codes(knn=(0.6, 0.5), probe=(0.65, 0.5), logme=(0.1, 0.0)),
        "depth": Depth(images=200, chance=0.25, scores=(0.5, 0.8, 0.7, 0.6), errors=(0.03, 0.03, 0.03, 0.03)),
        "batchnorm": Distances(images=128, layers=(0.2, 0.3)),
        "own": Own(images=200, classes=1000, confidence=0.15, entropy=0.7),
    }
    return measurement(**{**values, **changes})


def _codes(**scores: tuple[float, float]) -> Codes:
    """Scores on the features of the pretrained and of the random network."""
    pairs = {name: Pair(pretrained=pretrained, random=random) for name, (pretrained, random) in scores.items()}
    return Codes(images=200, chance=0.25, **pairs)
