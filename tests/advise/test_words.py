"""What advice says in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.advise.made import measurement, strange
from toolkit.advise import load_thresholds
from toolkit.advise.advisor import recommend, situation_of
from toolkit.advise.coverage import coverage_note
from toolkit.advise.measurement import NO_CLASSIFIER, Measurement, Size
from toolkit.advise.thresholds import BranchRule, PresetRule, SizeRule, Thresholds
from toolkit.advise.words import why_sentences

SHALLOW = "shallow_probe"


def advising(preset: str, loss: float = 0.012, **changes: Any) -> Thresholds:
    """The installed numbers with a rule that always names one preset, for small data up to 1e6 images."""
    losses = {"linear_probe": 0.05, "all_stages": 0.02, SHALLOW: 0.09, preset: loss}
    found = BranchRule(preset=preset, losses=losses, situations=14)
    branches = {"rest": found, "unlike": found}
    rule = PresetRule(kind="branches", branches=branches, most_images=400, most_per_class=100)
    size = SizeRule(images=1e6, per_class=20, scale=0.25)
    return load_thresholds().model_copy(update={"rule": rule, "size": size, **changes})


def why(measured: Measurement, thresholds: Thresholds) -> tuple[str, str, str]:
    evidence, place, choices = recommend(measured, thresholds)
    assert place.cell == "small_similar"
    return why_sentences(measured, evidence, place, choices, thresholds)


def test_the_size_sentence_speaks_of_size_alone() -> None:
    found = why(measurement(), advising("all_stages"))[0]
    assert found == (
        "There are 200 training images for 4 classes, 50 in the median one: that is small (as a rule of thumb, large "
        "begins at about 1,000,000 images and 20 per class), and for small and similar data, the matrix's preset is "
        "linear_probe (freeze the backbone, train a head on its features)."
    )
    one = measurement(size=Size(images=1, classes=1, least=1, median=1, most=1))
    assert why(one, advising("all_stages"))[0].startswith("There is 1 training image for 1 class: that is small")


def test_advice_that_is_not_the_matrixs_says_so_and_why() -> None:
    assert why(measurement(), advising("all_stages"))[2] == (
        "Fine-tuning stages clearly pays from about 200 images (10 per class) on, and you have 200 (50 per class): in "
        "situations like this one, the advice is all_stages (fine-tune everything, the backbone at a tenth of the "
        "head's rate), unlike the matrix's preset (linear_probe), because in the calibration's 14 situations of "
        "this kind it was closest to the best preset."
    )
    found = why(measurement(), advising("linear_probe"))[2]
    assert "unlike" not in found
    assert "the advice is linear_probe, because in" in found
    far = strange()
    evidence, place, choices = recommend(far, advising(SHALLOW))
    found = why_sentences(far, evidence, place, choices, load_thresholds())[2]
    assert "it was closest" in found
    rule = load_thresholds().rule
    assert found.endswith(f"such advice was {100 * rule.validation['branches: regret']:.1f} points behind on average.")
    assert f"the advice is {SHALLOW}" in found
    assert "the matrix's other preset" in found
    assert "it was close to the best preset" in why(measurement(), advising("last_stages", loss=0.03))[2]
    matrix = advising("all_stages").model_copy(update={"rule": PresetRule(kind="matrix")})
    assert why(measurement(), matrix)[2] == (
        "The advice is the matrix's preset, linear_probe; the runner-up is last_stages."
    )


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_losses_in_accuracy_are_not_named_for_other_metrics(task: str) -> None:
    measured = measurement(task=task)
    choices = recommend(measured, advising("all_stages"))[2]
    assert choices[0].preset == "all_stages"
    assert {choice.loss for choice in choices} == {None}
    found = why(measured, advising("all_stages"))[2]
    assert "points" not in found
    assert found.endswith("because the rule was derived from the calibration's 14 situations of this kind.")


def test_what_lies_outside_of_the_calibration_is_one_line() -> None:
    thresholds = advising("all_stages", networks=("resnet18",))

    def said(measured: Measurement, thresholds: Thresholds = thresholds) -> str | None:
        place = recommend(measured, thresholds)[1]
        return coverage_note(measured, situation_of(measured, place), thresholds)

    assert said(measurement()) is None
    many = Size(images=3204, classes=4, least=801, median=801, most=801)
    note = said(measurement(size=many, task="multilabel", network="vgg16", missing={"confidence": NO_CLASSIFIER})) or ""
    assert note.startswith(
        "not covered by the calibration: vgg16 (calibrated: resnet18); the number of images (more than 8 "
    )
    assert "so the matrix decides); weights without ImageNet's classifier" in note
    assert "multilabel (presets were compared by top-1 accuracy" in note
    assert said(measurement(network="vgg16"), thresholds.model_copy(update={"provisional": True})) is None
    assert load_thresholds().networks
