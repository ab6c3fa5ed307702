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
        "codes": Codes(
            images=200,
            chance=0.25,
            knn=Pair(pretrained=0.9, random=0.3),
            probe=Pair(pretrained=0.95, random=0.4),
            logme=Pair(pretrained=0.5, random=0.0),
        ),
        "depth": Depth(images=200, chance=0.25, scores=(0.3, 0.5, 0.8, 0.95), errors=(0.03, 0.03, 0.03, 0.02)),
        "batchnorm": Distances(images=128, layers=(0.01, 0.02)),
        "own": Own(images=200, classes=1000, confidence=0.7, entropy=0.2),
        "missing": {},
    }
    return Measurement(**{**values, **changes})


def strange(**changes: Any) -> Measurement:
    """Of a set that does not look like ImageNet's."""
    values: dict[str, Any] = {
        "codes": Codes(
            images=200,
            chance=0.25,
            knn=Pair(pretrained=0.6, random=0.5),
            probe=Pair(pretrained=0.65, random=0.5),
            logme=Pair(pretrained=0.1, random=0.0),
        ),
        "depth": Depth(images=200, chance=0.25, scores=(0.5, 0.8, 0.7, 0.6), errors=(0.03, 0.03, 0.03, 0.03)),
        "batchnorm": Distances(images=128, layers=(0.2, 0.3)),
        "own": Own(images=200, classes=1000, confidence=0.15, entropy=0.7),
    }
    return measurement(**{**values, **changes})
