"""The ranking of networks on artificial measurements: the order, its certainty, and the wording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.advise.made import measurement
from toolkit.advise.measurement import Depth, Measurement, Own
from toolkit.advise.network_words import network_sentences, network_table
from toolkit.advise.probe import linear_score
from toolkit.advise.race import RaceResult
from toolkit.advise.ranking import Ranking, difference, rank
from toolkit.zoo import get_spec
from toolkit.zoo.measurements import measured_networks

IMAGES = 200
CHEAP, DEAR = "squeezenet1_1", "resnet18"


def depth(right: int, *, paired: bool = True, first: int = 0, images: int = IMAGES) -> Depth:
    """A probe that is right on a number of consecutive images."""
    each = np.zeros(images)
    each[first : first + right] = 1.0
    score = right / images
    error = float(np.sqrt(score * (1 - score) / images))
    return Depth(
        images=images, chance=0.25, scores=(0.5, score), errors=(0.03, error), each=tuple(each) if paired else None
    )


def network(name: str, right: int | None, **changes: Any) -> Measurement:
    missing = {"depth": "there are too few images"} if right is None else {}
    found = None if right is None else depth(right)
    return measurement(**{"network": name, "depth": found, "missing": missing, "stages": (), **changes})


def ranked(*measured: Measurement, image_size: int = 224) -> Ranking:
    found = rank(measured, ["last_stages"] * len(measured), image_size)
    assert found is not None
    return found


def names(rows: Sequence[Any]) -> list[str]:
    return [row.network for row in rows]


def test_the_best_probe_is_first_if_it_is_clearly_better() -> None:
    found = ranked(network(CHEAP, 140), network(DEAR, 180))
    assert names(found.rows) == [DEAR, CHEAP]
    assert found.second is not None
    assert (found.first.network, found.second.network) == (DEAR, CHEAP)
    assert names(found.tied) == [DEAR]
    assert found.sure > 0.99
    assert found.second.behind == pytest.approx(0.2)
    first = network_sentences(found)[0]
    assert f"{DEAR} is recommended" in first
    assert "0.200 ± " in first
    assert "probability of 100%" in first


def test_of_two_that_cannot_be_told_apart_the_cheaper_is_recommended() -> None:
    found = ranked(network(DEAR, 180), network(CHEAP, 180, depth=depth(179, first=10)))
    assert measured_networks()[CHEAP].macs < measured_networks()[DEAR].macs
    assert names(found.rows) == [CHEAP, DEAR]
    assert found.sure < 0.5
    first = network_sentences(found)[0]
    assert "cannot be told apart" in first
    assert f"the cheapest of them is recommended: {CHEAP}" in first
    assert "0.005 ± 0.02" in first


def test_a_third_that_is_clearly_worse_is_not_among_them() -> None:
    found = ranked(network("mobilenet_v2", 100), network(DEAR, 180), network(CHEAP, 179))
    assert names(found.rows) == [CHEAP, DEAR, "mobilenet_v2"]
    assert names(found.tied) == [CHEAP, DEAR]
    assert found.second is found.rows[1]


def test_networks_are_paired_over_the_images() -> None:
    one, other, elsewhere = depth(150), depth(145), depth(145, first=55)
    lead, error = difference(one, other)
    assert lead == pytest.approx(0.025)
    assert error < difference(one, elsewhere)[1]
    unpaired = difference(depth(150, paired=False), other)[1]
    assert error < unpaired
    assert unpaired == pytest.approx(np.hypot(one.errors[-1], other.errors[-1]), rel=0.1)


def test_the_error_of_few_images_is_never_zero() -> None:
    assert difference(depth(10, images=10), depth(0, images=10))[1] > 0.1
    assert difference(depth(10, images=10), depth(10, images=10)) == (0.0, pytest.approx(2**0.5 / 11))


def test_imagenet_top1_is_the_baseline_beside_it() -> None:
    found = ranked(network(CHEAP, 180), network("mobilenet_v2", 140))
    assert found.baseline is not None
    assert found.baseline.network == "mobilenet_v2"
    words = network_sentences(found)[-1]
    assert "alone, the choice would be mobilenet_v2" in words
    assert f"{get_spec('mobilenet_v2').top1:.1%}" in words
    assert "arXiv:2405.20420" in words
    agreeing = ranked(network(CHEAP, 140), network("mobilenet_v2", 180))
    assert "the choice would be the same" in network_sentences(agreeing)[-1]


def test_weights_without_imagenets_classifier_have_no_published_accuracy() -> None:
    own = Own(images=200, classes=12, confidence=0.7, entropy=0.2)
    found = ranked(network(CHEAP, 180, own=own), network(DEAR, 140), network("mobilenet_v2", 120, own=None))
    assert [row.imagenet for row in found.rows] == [None, get_spec(DEAR).top1, None]
    assert found.baseline is None
    assert "no such baseline" in network_sentences(found)[-1]


def test_a_network_that_could_not_be_measured_is_last() -> None:
    found = ranked(network(DEAR, None), network(CHEAP, 100))
    assert names(found.rows) == [CHEAP, DEAR]
    assert found.second is None
    assert "no other network could be measured" in network_sentences(found)[0]
    assert rank([network(DEAR, None), network(CHEAP, None)], ["a", "b"], 224) is None


def test_costs_are_relative_and_by_image_size() -> None:
    found = ranked(network(CHEAP, 100), network(DEAR, 180), image_size=112)
    macs = {name: measured_networks()[name].macs for name in (CHEAP, DEAR)}
    assert found.costs() == {CHEAP: 1.0, DEAR: pytest.approx(macs[DEAR] / macs[CHEAP])}
    assert found.first.macs == pytest.approx(macs[DEAR] / 4)


def test_costs_are_seconds_if_the_zoo_has_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {CHEAP: measured_networks()[CHEAP]}
    monkeypatch.setattr("toolkit.advise.ranking.measured_networks", lambda: known)
    found = ranked(network(CHEAP, 180, seconds=9.0), network(DEAR, 180, seconds=3.0))
    assert found.costs() == {CHEAP: 3.0, DEAR: 1.0}
    assert found.first.network == DEAR
    assert "seconds of the measurement" in str(network_table(found, DEAR, IMAGES).caption)


def test_the_table_has_a_row_for_each_in_order() -> None:
    found = ranked(network(CHEAP, 140), network(DEAR, 180), network("mobilenet_v2", None))
    table = network_table(found, DEAR, IMAGES)
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == [f"[bold]{DEAR}[/]", CHEAP, "mobilenet_v2"]
    assert cells[2] == ["0.900 ± 0.021", "0.700 ± 0.032", "–"]
    assert cells[3][0] == ""
    assert cells[3][1].startswith("0.200 ± ")
    assert "model tables" in str(table.caption)


def test_the_race_has_the_last_word() -> None:
    found = ranked(network(CHEAP, 140), network(DEAR, 180))
    titles = [f"{DEAR}: last_stages", f"{CHEAP}: all_stages"]
    scores = dict(zip(titles, (0.8, 0.9), strict=True))
    race = RaceResult(titles[1], titles[0], 0.87, scores, dict.fromkeys(titles, 3), (), 12.0, 60.0)
    words = network_sentences(found, race)
    assert words[0].startswith(f"By the measurement alone, {DEAR} is recommended")
    assert f"the scores were {titles[0]} 0.800, {titles[1]} 0.900." in words[1]
    assert f"{titles[1]} is the best of these" in words[1]
    assert "a probability of 87%" in words[1]
    assert f"the measurement alone recommends {titles[0]}" in words[1]
    none = RaceResult(titles[0], titles[0], 0.0, {}, {}, (titles[1],), 1.0, 1.0)
    assert "no time for a race, so the measurement decides" in network_sentences(found, none)[1]


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_a_probe_is_the_mean_of_its_images(task: Any) -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 4))
    targets = features[:, :2] + rng.normal(size=(60, 2))
    labels = {"classification": (targets[:, 0] > 0).astype(np.int64), "regression": targets}.get(task, targets > 0)
    found = linear_score(features, np.asarray(labels, np.int64 if task == "classification" else np.float64), task)
    if task == "multilabel":
        assert found.each is None  # average precision is no mean over images
        return
    assert found.each is not None
    assert found.each.shape == (60,)
    assert found.each.mean() == pytest.approx(found.score)
    assert np.ptp(found.each) > 0
