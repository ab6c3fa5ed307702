"""The calibration of the advisor: thresholds out of results, on situations made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import calibrate
from benchmarks.branches import FEW
from benchmarks.calibration import derive, derive_evidence, derive_moving, fitted
from benchmarks.verdicts import CLOSE, Case, judged, known_scores
from tests.advise.made import measurement, strange
from toolkit.advise.advisor import recommend
from toolkit.advise.measurement import Distances, Measurement, Size
from toolkit.advise.thresholds import SizeRule, Thresholds, load_thresholds

COUNTS = {10: 40, 100: 400, None: 4000}


def evidence_rows() -> list[dict[str, Any]]:
    rows = []
    for number, (data, facts) in enumerate(calibrate.SETS.items()):
        for network in calibrate.WEIGHTS:
            for count, images in COUNTS.items():
                a_class = images // 4
                size = Size(images=images, classes=4, least=a_class, median=a_class, most=a_class)
                make = measurement if facts.similar else strange
                base = (0.01 if facts.similar else 0.2) * (1 + 0.1 * number)
                found = make(network=network, size=size, batchnorm=Distances(images=9, layers=(base,)))
                row = {"set": data, "network": network, "images_per_class": count}
                rows.append({**row, "measurement": found.model_dump(mode="json")})
    return rows


def result_rows() -> list[dict[str, Any]]:
    """With few images, and on similar sets, a head alone is best; with many a moving backbone."""
    rows = []
    for data, facts in calibrate.SETS.items():
        for network in calibrate.WEIGHTS:
            for count, images in COUNTS.items():
                large = images >= 400
                scores = {"linear_probe": 0.85, "all_stages": 0.9 if large else 0.7, "last_stages": 0.8}
                scores["all_stages_bold"] = 0.95 if large and not facts.similar else 0.6
                for preset, score in scores.items():
                    for seed in (0, 1):
                        row = {"set": data, "network": network, "images_per_class": count, "preset": preset}
                        score_now = {"score": score + 0.002 * seed, "metric": "top1", "train_images": images}
                        rows.append({**row, "seed": seed, **score_now})
    return rows


def regularised_rows() -> list[dict[str, Any]]:
    """Mixup always helps, a little more or less; test-time augmentation helps as often as it hurts."""
    rows = result_rows()
    for number, row in enumerate(row for row in result_rows() if row["preset"] == "last_stages"):
        for name, gain in (("mixup", 0.02 + 0.001 * (number % 3)), ("tta", 0.03 * (-1) ** number)):
            rows.append({**row, "preset": f"last_stages + {name}", "score": row["score"] + gain})
    return rows


@pytest.fixture
def results(tmp_path: Path) -> list[calibrate.Situation]:
    path = tmp_path / "calibration.jsonl"
    path.write_text("\n".join(map(json.dumps, regularised_rows())) + "\n\n", encoding="utf-8")
    return calibrate.read_results(path)


def test_results_are_grouped(results: list[calibrate.Situation]) -> None:
    assert len(results) == len(calibrate.SETS) * 2 * 3
    first = results[0]
    assert first.scores["linear_probe"] == {0: 0.85, 1: 0.852}
    assert first.means["linear_probe"] == pytest.approx(0.851)
    assert first.spread == pytest.approx(0.002 / 2**0.5)
    assert calibrate.read_results(Path("nowhere.jsonl")) == []


def test_presets_with_other_seeds_compare() -> None:
    scores = {"linear_probe": {0: 0.9, 1: 0.5}, "all_stages": {0: 0.92}, "last_stages": {1: 0.5, 2: 0.7}}
    means = calibrate.Situation("ants_bees", "mobilenet_v2", 5, None, scores).means
    assert means["all_stages"] - means["linear_probe"] == pytest.approx(0.02)
    assert means["last_stages"] == pytest.approx(means["linear_probe"])


def test_derived_from_results(results: list[calibrate.Situation], tmp_path: Path) -> None:
    output, report = tmp_path / "thresholds.json", tmp_path / "calibration.md"
    assert derive(results, evidence_rows(), regularised_rows(), output, report) == 0
    found = Thresholds.model_validate_json(output.read_bytes())
    assert not found.provisional
    assert found.sets == tuple(sorted(calibrate.SETS))
    assert 0.012 < found.evidence["batchnorm"].threshold < 0.2
    assert found.evidence["batchnorm"].weight == 1
    assert found.rule.kind == "branches"
    assert sum(branch.situations for branch in found.rule.branches.values()) == len(calibrate.SETS) * 2 * 3
    assert (found.rule.most_images, found.rule.most_per_class) == (4000, 1000)
    by_option = {one.option: one for one in found.regularisers}
    assert by_option["train.mixup=0.2"].gain == pytest.approx(0.021, abs=1e-4)
    assert (by_option["train.mixup=0.2"].runs, by_option["train.mixup=0.2"].head_alone) == (
        2 * 2 * 3 * len(calibrate.SETS),
        False,
    )
    assert {option for option, one in by_option.items() if one.pays} == {"train.mixup=0.2"}
    text = report.read_text(encoding="utf-8")
    assert "100% of the situations, with a mean regret of 0.00 points" in text
    assert "**" not in text.partition("## Advice")[2]


def test_without_results_the_similarity_is_derived_and_the_rest_is_provisional(tmp_path: Path) -> None:
    output = tmp_path / "thresholds.json"
    assert derive([], evidence_rows(), [], output, tmp_path / "calibration.md") == 0
    found = Thresholds.model_validate_json(output.read_bytes())
    assert found.provisional
    assert found.rule.kind == "matrix"
    assert derive([], [], [], output, tmp_path / "calibration.md") == 1


def test_evidence_that_tells_nothing_has_no_weight() -> None:
    rows = [row for row in evidence_rows() if row["images_per_class"] is None]
    rows = [{**row, "measurement": {**row["measurement"], "batchnorm": {"images": 9, "layers": [0.1]}}} for row in rows]
    assert derive_evidence(cases_of(rows))["batchnorm"].weight == 0


def test_sizes_and_verdicts(results: list[calibrate.Situation]) -> None:
    cases = cases_of(evidence_rows(), results)
    rule = derive_moving(cases)
    assert 10 < rule.per_class <= 100
    assert 40 < rule.images <= 400
    thresholds = fitted(cases)
    assert thresholds.rule.few in (*FEW, thresholds.moving.images)
    assert thresholds.size == SizeRule(images=1000, per_class=100, scale=0.25)
    assert thresholds.rule.branches["few"].preset == "linear_probe"
    assert thresholds.rule.branches["rest"].preset == "all_stages"
    verdicts = [judged(case, thresholds) for case in cases]
    assert {case.measured.size.images for case in cases if case.situation.images_per_class == 10} == {40}
    assert all(
        verdict.right
        for verdict in verdicts
        if calibrate.SETS[verdict.case.data].similar or verdict.best == "linear_probe"
    )
    moving = fitted(cases, ["all_stages", "last_stages"])
    assert moving.rule.branches["few"].preset == "last_stages"
    matrix = fitted(cases, None)
    assert matrix.rule.kind == "matrix"
    blind = [judged(case, matrix) for case in cases]
    assert sum(verdict.regret for verdict in blind) > sum(verdict.regret for verdict in verdicts)


CHOSEN = {
    ("ants_bees", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("chest_xray", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("flower_photos", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("eurosat_rgb", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("CUB_200_2011_mini", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("ants_bees", 20): ("multi_stage_probe", "multi_stage_probe"),
    ("ants_bees", None): ("most_stages", "most_stages"),
    ("CUB_200_2011_mini", 20): ("most_stages", "most_stages"),
    ("flower_photos", 20): ("multi_stage_probe", "multi_stage_probe"),
    ("chest_xray", 20): ("multi_stage_probe", "multi_stage_probe"),
    ("eurosat_rgb", 15): ("multi_stage_probe", "multi_stage_probe"),
    ("eurosat_rgb", 30): ("multi_stage_probe", "multi_stage_probe"),
    ("CUB_200_2011_mini", 10): ("most_stages", "most_stages"),
    ("flower_photos", 60): ("most_stages", "multi_stage_probe"),
    ("chest_xray", 100): ("multi_stage_probe", "multi_stage_probe"),
    ("steel_defects", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("sign_digits", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("sign_digits", 60): ("most_stages", None),
    ("trash", 5): ("multi_stage_probe", "multi_stage_probe"),
    ("mnist_png", 5): ("multi_stage_probe", "multi_stage_probe"),
}
"""Advice with the installed thresholds: data set and images per class -> with mobilenet_v2, with squeezenet1_1 (None:
no results)."""


def test_what_is_advised_in_every_situation_of_the_calibration() -> None:
    """Which words are used for a size must not change the advice; a new calibration may."""
    tried, found = {one.key for one in calibrate.read_results()}, {}
    for row in calibrate.read_lines(calibrate.EVIDENCE_ROWS):
        key = data, network, count, _ = calibrate.key_of(row)
        if key in tried:
            choices = recommend(Measurement.model_validate(row["measurement"]), load_thresholds())[2]
            found[data, count, network] = choices[0].preset
    networks = "mobilenet_v2", "squeezenet1_1"
    chosen = {(*key, network): row[i] for key, row in CHOSEN.items() for i, network in enumerate(networks)}
    assert found == {key: preset for key, preset in chosen.items() if preset is not None}
    assert len(found) == len(tried)


def test_a_head_alone_is_behind_where_the_page_says_so() -> None:
    results, behind = {one.key: one for one in calibrate.read_results()}, []
    for row in calibrate.read_lines(calibrate.EVIDENCE_ROWS):
        one = results.get(calibrate.key_of(row))
        measured = Measurement.model_validate(row["measurement"])
        if one and recommend(measured, load_thresholds())[1].cell == "small_similar":
            scores = known_scores(Case(one, measured))
            behind.append(max(scores.values()) - scores["linear_probe"] > CLOSE)
    page = " ".join((calibrate.REPO / "docs" / "advisor.md").read_text(encoding="utf-8").split())
    assert f"a point behind the best preset in {sum(behind)} of {len(behind)}." in page


def test_small_sets_are_called_small() -> None:
    """240 images are few, although fine-tuning stages pays: these are two numbers."""
    thresholds = load_thresholds()
    for images, classes, size in ((244, 2, "small"), (600, 3, "small"), (4000, 400, "small"), (3670, 5, "large")):
        each = images // classes
        measured = measurement(size=Size(images=images, classes=classes, least=each, median=each, most=each))
        assert recommend(measured, thresholds)[1].size == size
        assert thresholds.moving.pays(images, each)
    assert max(thresholds.rule.few, thresholds.moving.images) < thresholds.size.images


def cases_of(rows: list[dict[str, Any]], results: list[calibrate.Situation] | None = None) -> list[Case]:
    known = {one.key: one for one in results or ()}
    found = []
    for row in rows:
        key = calibrate.key_of(row)
        measured = measurement().model_validate(row["measurement"])
        found.append(Case(known.get(key, calibrate.Situation(*key, {})), measured))
    return found
