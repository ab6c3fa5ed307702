"""From numbers to a place in the matrix and a preset."""

from __future__ import annotations

from typing import Any

import pytest

from tests.advise.made import measurement, strange
from toolkit.advise import load_thresholds
from toolkit.advise.advisor import recommend
from toolkit.advise.choose import Choice, best_stage, expected_losses, rank_presets
from toolkit.advise.evidence import EVIDENCE, evidence_of
from toolkit.advise.measurement import Depth, Distances, Size
from toolkit.advise.place import place_of
from toolkit.advise.thresholds import EvidenceRule, PresetRule, Situation, Thresholds
from toolkit.transfer import get_preset

BIG = Size(images=5000, classes=4, least=1250, median=1250, most=1250)


@pytest.fixture
def thresholds() -> Thresholds:
    """The installed numbers with the matrix as the rule."""
    found = load_thresholds()
    return found.model_copy(update={"rule": PresetRule(kind="matrix", bandwidth=0.5, tie=0.003)})


def test_the_installed_numbers_are_whole() -> None:
    found = load_thresholds()
    assert set(found.evidence) == {spec.name for spec in EVIDENCE}
    assert sum(rule.weight for rule in found.evidence.values()) > 0
    heaviest = max(rule.weight for rule in found.evidence.values())
    assert heaviest < 0.5 * sum(rule.weight for rule in found.evidence.values())  # none decides alone


def test_the_four_cells(thresholds: Thresholds) -> None:
    found = {}
    for size in (None, BIG):
        for kind in (measurement, strange):
            measured = kind(size=size) if size else kind()
            _, place, choices = recommend(measured, thresholds)
            found[place.cell] = choices[0].title
            assert 0.25 < place.confidence <= 1
    assert found["small_similar"] == "small_similar"
    assert found["large_similar"] == "large_similar"
    assert found["large_different"] == "large_different"
    assert found["small_different"].startswith("small_different/")


def test_one_dissenting_measurement_does_not_decide_and_is_named(thresholds: Thresholds) -> None:
    measured = measurement(batchnorm=Distances(images=128, layers=(0.9,)))
    place = place_of(measured.size, evidence_of(measured, thresholds), thresholds.size)
    assert place.similarity == "similar"
    assert place.dissenting == ("batchnorm",)
    agreed = place_of(measured.size, evidence_of(measurement(), thresholds), thresholds.size)
    assert place.sure_of_similarity < agreed.sure_of_similarity


def test_many_images_in_tiny_classes_are_small(thresholds: Thresholds) -> None:
    size = Size(images=5000, classes=1000, least=5, median=5, most=5)
    assert place_of(size, (), thresholds.size).size == "small"
    assert place_of(BIG, (), thresholds.size).size == "large"
    assert place_of(size, (), thresholds.size).similar == 0.5  # nothing was measured


def test_odds_are_bounded_and_turn_at_the_threshold() -> None:
    rule = EvidenceRule(
        threshold=0.06, scale=0.5, log=True, similar="below", weight=1, range_similar=(0, 1), range_different=(0, 1)
    )
    assert rule.log_odds(0.06) == 0
    assert rule.log_odds(0.01) > 0 > rule.log_odds(0.2)
    assert rule.log_odds(0.0) == 3
    assert rule.log_odds(1e9) == -3


def test_few_images_say_less(thresholds: Thresholds) -> None:
    """On 12 images a probe is hardly better than chance: what needs no labels then counts more."""
    weak = strange().codes.model_copy(update={"images": 12})
    depth = strange().depth.model_copy(update={"images": 12, "errors": (0.15,) * 4})
    few, many = measurement(codes=weak, depth=depth), measurement(codes=strange().codes, depth=strange().depth)
    by_name = [{piece.name: piece for piece in evidence_of(one, thresholds)} for one in (few, many)]
    for name in ("knn", "probe", "depth", "logme"):
        assert by_name[0][name].weight < 0.5 * by_name[1][name].weight
        assert abs(by_name[0][name].similar - 0.5) < abs(by_name[1][name].similar - 0.5)
    assert by_name[0]["batchnorm"].weight == by_name[1]["batchnorm"].weight
    assert place_of(few.size, tuple(by_name[0].values()), thresholds.size).similarity == "similar"


def situation(data: str, per_class: float, similar: float, **scores: float) -> Situation:
    values: dict[str, Any] = {"network": "n", "train_images": int(4 * per_class), "skill": 0.8, "gain": 0.1}
    return Situation(name=data, data=data, per_class=per_class, similar=similar, scores=scores, **values)


def test_the_nearest_situations_decide(thresholds: Thresholds) -> None:
    known = (
        situation("few", 10, 0.9, small_similar=0.9, finetune=0.8, large_similar=0.85),
        situation("many", 1000, 0.2, small_similar=0.7, finetune=0.95, large_similar=0.8),
    )
    rule = PresetRule(kind="nearest", bandwidth=0.5, tie=0.003, situations=known)
    near_few, near_many = situation("x", 12, 0.9), situation("y", 800, 0.2)
    losses = expected_losses(near_few, rule)
    assert losses["small_similar"] == pytest.approx(0, abs=1e-3)
    assert losses["finetune"] == pytest.approx(0.1, abs=1e-3)
    place = place_of(BIG, (), thresholds.size)
    assert [choice.title for choice in rank_presets(near_few, place, rule)][:2] == ["small_similar", "large_similar"]
    first = rank_presets(near_many, place, rule)[0]
    assert (first.title, first.like[0]) == ("finetune", "many")


def test_among_equals_the_cheapest(thresholds: Thresholds) -> None:
    rule = PresetRule(
        kind="nearest", bandwidth=1, tie=0.003, situations=(situation("a", 10, 0.9, finetune=0.902, small_similar=0.9),)
    )
    place = place_of(BIG, (), thresholds.size)
    assert rank_presets(situation("x", 10, 0.9), place, rule)[0].title == "small_similar"


def test_what_the_probes_say_counts_by_its_error(thresholds: Thresholds) -> None:
    known = (situation("a", 10, 0.9, small_similar=0.9, **{"small_different/shallow_features": 0.8}),)
    place = place_of(BIG, (), thresholds.size)
    rule = PresetRule(kind="nearest", bandwidth=1, tie=0.003, spread=0.1, situations=known)
    here = situation("x", 10, 0.9)
    for error, first in ((None, "small_similar"), (0.5, "small_similar"), (0.03, "small_different/shallow_features")):
        measured = here.model_copy(update={"ahead": -0.2, "ahead_error": error})
        assert rank_presets(measured, place, rule)[0].title == first
    blind = rule.model_copy(update={"spread": 0.0})
    sure = here.model_copy(update={"ahead": -0.2, "ahead_error": 0.03})
    assert rank_presets(sure, place, blind)[0].title == "small_similar"
    losses = expected_losses(sure, rule)
    assert min(losses.values()) == 0
    assert losses["small_similar"] == pytest.approx(0.2 * (1 - 0.0826) - 0.1 * 0.0826, abs=1e-3)


def test_far_beyond_the_calibration_the_matrix_holds(thresholds: Thresholds) -> None:
    rule = PresetRule(
        kind="nearest", bandwidth=1, tie=0.003, situations=(situation("a", 10, 0.9, finetune=0.8, small_similar=0.9),)
    )
    place = place_of(BIG, (), thresholds.size)
    assert rank_presets(situation("x", 60, 0.9), place, rule)[0].title == "small_similar"
    far = rank_presets(situation("y", 600, 0.9), place, rule)[0]
    assert far.title == f"{place.cell}"
    assert far.loss is None


def test_without_situations_the_matrix_holds(thresholds: Thresholds) -> None:
    rule = PresetRule(kind="nearest", bandwidth=1, tie=0.003)
    place = place_of(BIG, (), thresholds.size)
    assert all(isinstance(choice, Choice) for choice in rank_presets(situation("x", 1, 0.5), place, rule))


def test_the_cut_is_where_the_classes_separate_best() -> None:
    depth = Depth(images=9, chance=0.5, scores=(0.6, 0.9, 0.91, 0.7), errors=(0.04,) * 4)
    assert best_stage(depth) == 2  # within half an error of the best, and cheaper
    assert best_stage(depth, allowed=[1, 4]) == 4


def test_no_shallow_features_where_the_top_is_best(thresholds: Thresholds) -> None:
    scores = {"small_different/shallow_features": 0.9, "finetune": 0.8}
    known = (situation("a", 50, 0.9, **scores),)
    rule = PresetRule(kind="nearest", bandwidth=1, tie=0.003, situations=known)
    rises = recommend(measurement(), thresholds.model_copy(update={"rule": rule}))[2]
    falls = recommend(strange(), thresholds.model_copy(update={"rule": rule}))[2]
    assert rises[0].title == "small_similar"
    assert falls[0].title == "small_different/shallow_features"
    for choice in (*rises, *falls):
        name, _, variant = choice.title.partition("/")
        get_preset(name, variant or None)
    assert len({choice.title for choice in rises}) == len(rises) >= 2
