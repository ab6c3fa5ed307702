"""From numbers to a place in the matrix and a preset."""

from __future__ import annotations

from typing import Any

import pytest

from tests.advise.made import measurement, strange
from toolkit.advise import load_thresholds
from toolkit.advise.advisor import recommend
from toolkit.advise.choose import Choice, Situation, best_stage, branch_of, matrix_preset, rank_presets
from toolkit.advise.evidence import EVIDENCE, evidence_of
from toolkit.advise.matrix import locate
from toolkit.advise.measurement import Depth, Distances, Size
from toolkit.advise.thresholds import BranchRule, EvidenceRule, MovingRule, PresetRule, SizeRule, Thresholds
from toolkit.transfer import get_preset

SHALLOW = "shallow_probe"
BIG = Size(images=5000, classes=4, least=1250, median=1250, most=1250)


@pytest.fixture
def thresholds() -> Thresholds:
    """The installed numbers of the evidence; the matrix is the rule, and 300 images, 20 a class, are many."""
    size = SizeRule(images=300, per_class=20, scale=0.25)
    return load_thresholds().model_copy(update={"rule": PresetRule(kind="matrix"), "size": size})


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
            found[place.cell] = choices[0].preset
            assert 0.25 < place.confidence <= 1
    assert found["small_similar"] == "linear_probe"
    assert found["large_similar"] == "last_stages"
    assert found["large_different"] == "all_stages_bold"
    assert found["small_different"] == "most_stages"


def test_one_dissenting_measurement_does_not_decide_and_is_named(thresholds: Thresholds) -> None:
    measured = measurement(batchnorm=Distances(images=128, layers=(0.9,)))
    place = locate(measured.size, evidence_of(measured, thresholds), thresholds.size)
    assert place.similarity == "similar"
    assert place.dissenting == ("batchnorm",)
    agreed = locate(measured.size, evidence_of(measurement(), thresholds), thresholds.size)
    assert place.sure_of_similarity < agreed.sure_of_similarity


def test_many_images_in_tiny_classes_are_small(thresholds: Thresholds) -> None:
    size = Size(images=5000, classes=1000, least=5, median=5, most=5)
    assert locate(size, (), thresholds.size).size == "small"
    assert locate(BIG, (), thresholds.size).size == "large"
    assert locate(size, (), thresholds.size).similar == 0.5  # nothing was measured


def test_agreement_is_no_surer_than_the_surest(thresholds: Thresholds) -> None:
    for measured in (measurement(), strange()):
        pieces = evidence_of(measured, thresholds)
        similar = locate(measured.size, pieces, thresholds.size).similar
        assert min(piece.similar for piece in pieces) <= similar <= max(piece.similar for piece in pieces)


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
    assert locate(few.size, tuple(by_name[0].values()), thresholds.size).similarity == "similar"


MOVING = MovingRule(images=45, per_class=5)


def situation(images: int, **facts: Any) -> Situation:
    return Situation(**{"train_images": images, "per_class": images / 4, "similar": 0.9, **facts})


def branches(**presets: str) -> PresetRule:
    """A rule of which every branch has been seen with up to 400 images, 100 of a class."""
    losses = {"linear_probe": 0.03, "all_stages": 0.02, "last_stages": 0.01, SHALLOW: 0.04}
    found = {
        name: BranchRule(preset=preset, losses={**losses, preset: 0.0}, situations=7)
        for name, preset in {"rest": "all_stages", **presets}.items()
    }
    return PresetRule(kind="branches", few=45, lead=1.0, branches=found, most_images=400, most_per_class=100)


def test_the_first_branch_that_applies_decides(thresholds: Thresholds) -> None:
    rule = branches(few="linear_probe", shallow=SHALLOW, unlike="last_stages")
    place = locate(BIG, (), thresholds.size)
    behind = {"ahead": -0.2, "ahead_error": 0.1}
    for here, branch, preset in (
        (situation(44, **behind), "few", "linear_probe"),
        (situation(45, **behind), "shallow", SHALLOW),
        (situation(45, **{**behind, "ahead_error": 0.3}), "rest", "all_stages"),
        (situation(45, similar=0.6), "rest", "all_stages"),
        (situation(45, similar=0.4), "unlike", "last_stages"),
    ):
        assert branch_of(here, rule) == branch
        choices = rank_presets(here, place, rule, MOVING)
        assert (choices[0].preset, choices[0].branch, choices[0].situations) == (preset, branch, 7)
        known = [choice.loss for choice in choices[1:] if choice.loss is not None]
        assert known == sorted(known)
    never = rule.model_copy(update={"lead": None})
    assert branch_of(situation(45, **behind), never) == "rest"


def test_far_beyond_the_calibration_the_matrix_holds(thresholds: Thresholds) -> None:
    rule, place = branches(), locate(BIG, (), thresholds.size)
    assert rank_presets(situation(3200), place, rule, MOVING)[0].preset == "all_stages"
    for far in (situation(3201), situation(3200, per_class=801)):
        assert rank_presets(far, place, rule, MOVING)[0].preset == matrix_preset(place.cell)
        assert rank_presets(far, place, rule, MOVING)[0].loss is None


def test_many_images_in_small_classes_are_fine_tuned_though_they_are_small(thresholds: Thresholds) -> None:
    size = Size(images=8000, classes=800, least=10, median=10, most=10)
    place = locate(size, (), thresholds.size)
    assert place.cell == "small_similar"
    choices = rank_presets(situation(8000, per_class=10), place, branches(), MOVING)
    assert choices[0] == Choice("last_stages")
    assert rank_presets(situation(8000, per_class=4), place, branches(), MOVING)[0] == Choice("linear_probe")
    assert rank_presets(situation(8000, per_class=10), place, PresetRule(kind="matrix"), MOVING)[0].preset == (
        "linear_probe"
    )


def test_what_the_calibration_has_not_seen_is_the_matrixs(thresholds: Thresholds) -> None:
    place = locate(BIG, (), thresholds.size)
    for rule in (PresetRule(kind="branches", few=45), branches()):
        choices = rank_presets(situation(20), place, rule, MOVING)
        assert choices[0] == Choice("linear_probe")
        assert len(choices) >= 2


def test_the_cut_is_where_the_classes_separate_best() -> None:
    depth = Depth(images=9, chance=0.5, scores=(0.6, 0.9, 0.91, 0.7), errors=(0.04,) * 4)
    assert best_stage(depth) == 2  # within half an error of the best, and cheaper
    assert best_stage(depth, allowed=[1, 4]) == 4
    lower = Depth(images=9, chance=0.5, scores=(0.6, 0.88, 0.91, 0.7), errors=(0.04,) * 4)
    assert best_stage(lower) == 3  # a whole error is too far


def test_no_shallow_features_where_the_top_is_best(thresholds: Thresholds) -> None:
    rule = branches(rest=SHALLOW, shallow=SHALLOW)
    rises = recommend(measurement(), thresholds.model_copy(update={"rule": rule}))[2]
    falls = recommend(strange(), thresholds.model_copy(update={"rule": rule}))[2]
    assert rises[0].preset == "linear_probe"
    assert falls[0].preset == "shallow_probe"
    for choice in (*rises, *falls):
        get_preset(choice.preset)
    assert len({choice.preset for choice in rises}) == len(rises) >= 2
