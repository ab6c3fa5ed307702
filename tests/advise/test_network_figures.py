"""What the page says of probes and ImageNet top-1 as guides to a network is what the calibration shows."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.advise.choose import ADVISED
from toolkit.advise.networks import NETWORK_ERROR, PROBE_SHARE

REPO = Path(__file__).resolve().parents[2]
NETWORKS = ("mobilenet_v2", "squeezenet1_1")  # the better one on ImageNet first


def lines_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (REPO / "benchmarks" / name).read_text(encoding="utf-8").splitlines()]


@cache
def differences() -> tuple[np.ndarray, np.ndarray]:
    """Differences between the networks' probes, and between their best presets after training, by situation."""
    probes = {}
    for found in lines_of("calibration_evidence.jsonl"):
        if found["measurement"]["depth"]:
            situation = found["set"], found["images_per_class"], found["image_size"]
            probes[situation, found["network"]] = found["measurement"]["depth"]["scores"][-1]
    scores: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in lines_of("calibration.jsonl"):
        if run["preset"] in ADVISED:
            situation = run["set"], run["images_per_class"], run["image_size"]
            scores[situation, run["network"]][run["preset"]].append(run["score"])
    trained = {key: max(map(np.mean, presets.values())) for key, presets in scores.items()}
    both = [key for key, network in trained if network == NETWORKS[0] and {(key, n) for n in NETWORKS} <= set(probes)]
    both = [key for key in both if (key, NETWORKS[1]) in trained]
    pairs = [[values[key, NETWORKS[0]] - values[key, NETWORKS[1]] for key in both] for values in (probes, trained)]
    return np.array(pairs[0]), np.array(pairs[1])


def test_a_third_of_a_probes_lead_is_left() -> None:
    probe, trained = differences()
    share = float(probe @ trained / (probe @ probe))
    assert share == pytest.approx(PROBE_SHARE, abs=0.05)
    assert np.sqrt(np.mean((trained - PROBE_SHARE * probe) ** 2)) == pytest.approx(NETWORK_ERROR, abs=0.005)


def test_the_baseline_and_the_probe_are_right_as_often_as_the_page_says() -> None:
    probe, trained = differences()
    page = " ".join((REPO / "docs" / "advisor.md").read_text(encoding="utf-8").split())
    said = (
        f"In the calibration's {len(probe)} situations with both networks, it chose the network with the better "
        f"training result in {int((trained > 0).sum())}, and the better probe in "
        f"{int(((probe > 0) == (trained > 0)).sum())}."
    )
    assert said in page
