"""Real images and real weights: the advisor says of each set what its owner would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.advise import advise, advise_networks
from toolkit.config import make_config

pytestmark = pytest.mark.slow

SETS = {
    "ants_bees": ("folder", "similar"),
    "flower_photos": ("folder", "similar"),
    "CUB_200_2011_mini": ("cub200", "similar"),
    "chest_xray": ("folder", "different"),
    "eurosat_rgb": ("folder", "different"),
}
DISTANCES = {
    "ants_bees": 0.015,
    "CUB_200_2011_mini": 0.028,
    "flower_photos": 0.028,
    "chest_xray": 0.16,
    "eurosat_rgb": 0.205,
}
"""A first measurement, on 96 images and mobilenet_v2."""


@pytest.mark.parametrize("network", ["mobilenet_v2", "squeezenet1_1"])
@pytest.mark.parametrize("name", SETS)
def test_similar_or_different(
    assets: Path, weights: Callable[[str], Path], tmp_path: Path, name: str, network: str
) -> None:
    config = make_config(
        {
            "name": name,
            "model": {"name": network, "pretrained": str(weights(network))},
            "data": {"format": SETS[name][0], "root": assets / "datasets" / name},
            "cache": {"dir": tmp_path},
        }
    )
    advice = advise(config, sample=120)
    assert advice.position.similarity == SETS[name][1]
    assert len(advice.evidence) == (6 if network == "mobilenet_v2" else 5)
    if advice.measured.batchnorm is not None:
        assert advice.measured.batchnorm.mean == pytest.approx(DISTANCES[name], rel=0.35)


@pytest.mark.parametrize("name", ["CUB_200_2011_mini"])
def test_mobilenet_v2_ranks_above_squeezenet(
    assets: Path, weights: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    config = make_config(
        {
            "name": name,
            "model": {"name": "mobilenet_v2"},
            "data": {"format": SETS[name][0], "root": assets / "datasets" / name, "image_size": 128},
            "cache": {"dir": tmp_path},
        }
    )
    found = advise_networks(config, [f"{net}={weights(net)}" for net in ("squeezenet1_1", "mobilenet_v2")])
    first, second = found.ranking.rows
    assert (first.network, second.network) == (found.network, "squeezenet1_1")
    assert found.network == "mobilenet_v2"
    assert found.ranking.baseline is first
    assert first.knn > second.knn
    assert first.logme > second.logme
    assert first.probe == pytest.approx(0.86, abs=0.03)
    assert second.probe == pytest.approx(0.86, abs=0.03)  # within one standard error: the cheaper is first
