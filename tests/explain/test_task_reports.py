"""Reports of multilabel classification and regression, and a run's ancestry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.explain.page import Page, page_of
from toolkit.bakeoff import Comparison
from toolkit.data import ArrayImages
from toolkit.explain import write_report
from toolkit.tasks import TASKS

pytestmark = pytest.mark.usefixtures("unrendered")
REST = ["plan", "proof", "data", "environment", "again"]
MULTILABEL = ["made", "curves", "metrics", "labels", "precision-recall", "mistakes", "calibration", *REST]
REGRESSION = ["made", "curves", "targets", "predictions", "mistakes", *REST]
NASTY = ("<b>bold</b>", "</style><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }} 红翅黑鹂")
ANCESTRY = [
    {
        "name": "digits <0-4>",
        "run_dir": "/runs/digits",
        "network": "resnet18",
        "preset": "all_stages",
        "weights": "paddle",
        "data": {"task": "classification", "classes": list("0123456"), "images": 1900},
        "result": {"top1": 0.982, "epoch": 4},
    },
    {
        "name": "年龄",
        "run_dir": "/runs/age",
        "network": "resnet18",
        "preset": "last_stages",
        "weights": "/runs/digits/checkpoints/best.pdparams",
        "data": {"task": "regression", "classes": ["age"], "images": 12},
        "result": {"r2": -0.25, "epoch": 1},
    },
]


def check_safe(page: Page, names: tuple[str, ...]) -> None:
    assert not {"b", "script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    addresses = [of[key] or "" for _, of in page.tags for key in ("src", "href", "srcset", "action") if key in of]
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    for name in names:
        assert name in page.text


@pytest.mark.usefixtures("rendered")
def test_multilabel(multilabel: Callable[..., Any]) -> None:
    run = multilabel(("person", "dog", "bird"), noise=3.0)
    page = page_of(run)
    assert page.sections == MULTILABEL
    metrics = run.job.objective.metrics(run.outputs, run.labels)
    for words in (
        "Training report: multilabel classification",
        f"mAP {metrics['map']:.3f} on 40 validation images (95 % interval 0.",
        "epoch 2 of 3",
        "3 labels, on average 1.1 per image",
        "would reach about 0.367",
        "expect a little less on new ones",
        f"macro-F1 {metrics['macro_f1']:.3f}",
        f"micro-F1 {metrics['micro_f1']:.3f}",
        f"loss {metrics['loss']:.3f}",
        "person 20 0.",
        "dog 14 0.",
        "label training validation person 20 20 dog 14 14 bird 10 10 images 40 40",
        "All labels",
        "AP 0.",
        "15 bins [2], all labels together",
        "Efron",
        "head 3 500 no 0.01",
    ):
        assert words in page.text, words
    assert len(page.having("img", **{"class": "tiny"})) > 0


@pytest.mark.usefixtures("rendered")
def test_a_perfect_multilabel_result(multilabel: Callable[..., Any]) -> None:
    page = page_of(multilabel(("person", "dog"), noise=0.0, test=True))
    assert "mAP 1.000 on 40 test images (95 % interval 1.000 to 1.000)" in page.text
    assert "100.0 % of the images have exactly the predicted labels" in page.text
    assert "every predicted label is true" in page.text
    assert "every true label was predicted" in page.text
    assert "expect a little less" not in page.text


def test_mistakes_of_labels_say_what_is_wrong(multilabel: Callable[..., Any]) -> None:
    run = multilabel(("person", "dog", "bird"), noise=0.0)
    run.outputs[1, 2] = 4.0  # the second image has no label
    run.outputs[12, 0] = -2.0  # the thirteenth has all three
    page = page_of(run)
    assert "predicted bird , 98.2 % has no label 0001" in page.text
    assert "missed person , 11.9 % has person , dog , bird 0012" in page.text
    assert [of["alt"] for of in page.having("img", **{"class": "tiny"})] == ["0001", "0012"]


def test_many_labels(multilabel: Callable[..., Any]) -> None:
    names = tuple(f"label {number:02d}" for number in range(23))
    run = multilabel(names, count=240)
    page = page_of(run)
    assert "The worst first:" in page.text
    assert "the other 3 labels" in page.text
    assert "The most frequent labels 1 label 00" not in page.text  # the numbers are the list's own
    assert "The most frequent labels label 00 AP" in page.text
    assert "The worst labels" in page.text
    assert "labels per image fewest per label median most training 240 2.8" in page.text
    assert len(page.having("ol", **{"class": "key"})) == 2
    run.outputs[0] = 3.0  # an image with every label
    run.outputs[0, 0] = -3.0
    assert "and 17 more" in page_of(run).text


@pytest.mark.usefixtures("rendered")
def test_a_label_that_no_image_has(multilabel: Callable[..., Any]) -> None:
    run = multilabel(("person", "dog"))
    labels = run.labels.copy()
    labels[:, 1] = 0
    data = replace(run.job.data, val=ArrayImages(np.zeros((40, 8, 8, 3), np.uint8), labels, "black"))
    page = page_of(run._replace(job=replace(run.job, data=data), labels=labels))
    assert "1 label does not occur in any validation image and cannot be evaluated" in page.text
    assert "dog 0 – 0.000 – 0.000" in page.text
    nothing = np.zeros_like(labels)
    data = replace(run.job.data, val=ArrayImages(np.zeros((40, 8, 8, 3), np.uint8), nothing, "black"))
    page = page_of(run._replace(job=replace(run.job, data=data), labels=nothing))
    assert "mAP 0.000 on 40 validation images, epoch" in page.text
    assert "No validation image has a label" in page.text


@pytest.mark.usefixtures("rendered")
def test_regression(regression: Callable[..., Any]) -> None:
    run = regression(("age",))
    page = page_of(run)
    assert page.sections == REGRESSION
    metrics = run.job.objective.metrics(run.outputs, run.labels)
    error = run.outputs.astype(np.float64) - run.labels
    off = np.abs(run.labels - run.labels.mean())
    for words in (
        "Training report: regression",
        f"R2 {metrics['r2']:.3f} on 40 validation images (95 % interval 0.",
        "The target is age : on average predictions are",
        f"MAE {metrics['mae']:.4g}",
        f"RMSE {metrics['mse'] ** 0.5:.4g}",
        f"MSE {metrics['mse']:.4g}",
        f"loss {metrics['loss']:.3f}",
        f"always the mean 0.000 {off.mean():.4g}",
        "Efron",
        "target split images mean std. dev. smallest largest age training 40",
    ):
        assert words in page.text, words
    worst = int(np.abs(error).argmax())
    assert page.having("img", **{"class": "tiny"})[0]["alt"] == f"{worst:04d}"
    assert len(page.having("img", **{"class": "tiny"})) == 12


def test_several_targets_have_their_own_units(regression: Callable[..., Any]) -> None:
    names = ("width, cm", "高度", "weight", "price")
    page = page_of(regression(names, test=True))
    assert "4 targets; R2 is their mean" in page.text
    assert "on 40 test images" in page.text
    assert "expect a little less" not in page.text
    assert page.text.count("always the mean") == 4
    assert len([of for of in page.having("img") if "predicted over true" in (of["alt"] or "")]) == 4
    assert [name for name in names if f"{name} training 40" in page.text] == list(names)


def test_many_targets_have_figures_of_the_worst(regression: Callable[..., Any]) -> None:
    page = page_of(regression(tuple("abcdefgh"), count=20))
    assert "The 6 targets with the lowest R2" in page.text
    assert len([of for of in page.having("img") if "predicted over true" in (of["alt"] or "")]) == 6


@pytest.mark.usefixtures("rendered")
def test_values_that_are_met_exactly(regression: Callable[..., Any]) -> None:
    page = page_of(regression(("age",), noise=0.0))
    assert "R2 1.000 on 40 validation images (95 % interval 1.000 to 1.000)" in page.text
    assert "every value was predicted exactly" in page.text


@pytest.mark.usefixtures("rendered")
def test_a_single_image(regression: Callable[..., Any]) -> None:
    page = page_of(regression(("age",), count=1))
    assert "R2 0.000 on 1 validation image, epoch 2 of 3" in page.text
    assert "age – – 0." in page.text


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_names_are_text_and_nothing_else(request: pytest.FixtureRequest, task: str) -> None:
    run = request.getfixturevalue(task)(NASTY, name="<i>run 鸟")
    check_safe(page_of(run), (*NASTY, "<i>run 鸟"))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_comparison_is_by_the_main_metric(request: pytest.FixtureRequest, task: str) -> None:
    metric = TASKS[task].main
    rows = [Comparison("all_stages", metric, (0.9, 0.8), (10.0, 12.0), 3500)]
    rows += [Comparison("scratch", metric, (-0.5, -0.6), (30.0, 31.0), 3500)]
    page = page_of(request.getfixturevalue(task)(("a", "b")), rows)
    assert f"preset {metric.title} trained weights seconds all_stages 0.850 ± 0.071 3,500 11.0" in page.text
    assert "scratch −0.550 ± 0.071" in page.text
    assert [of["style"] for of in page.having("i") if "width" in (of["style"] or "")] == ["width: 85.0%", "width: 0.0%"]


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_report_is_the_same_each_time(request: pytest.FixtureRequest, task: str) -> None:
    run = request.getfixturevalue(task)(("a", "b"), count=400)
    first, second = (write_report(*run).read_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_a_run_without_records_and_foreign_outputs(request: pytest.FixtureRequest, task: str) -> None:
    run = request.getfixturevalue(task)(("a", "b"))
    run.folder.record.unlink()
    run.folder.metrics.unlink()
    assert "No epoch was recorded" in page_of(run).text
    with pytest.raises(ValueError, match="do not belong"):
        write_report(run.job, run.folder, run.outputs[:, :1], run.labels)
    with pytest.raises(ValueError, match="do not belong"):
        write_report(run.job, run.folder, run.outputs, 1 - run.labels)


def test_pictures_with_any_number_of_channels_are_shown(regression: Callable[..., Any]) -> None:
    run = regression(("age",), model={"name": "resnet18", "in_channels": 5, "pooling": "gem"})
    for channels in (1, 2, 5):
        images = ArrayImages(np.full((40, 8, 8, channels), 200, np.uint8), run.labels, "flat").with_channels(channels)
        preprocessing = replace(run.job.preprocessing, mean=(0.5,) * channels, std=(0.5,) * channels)
        job = replace(run.job, data=replace(run.job.data, val=images), preprocessing=preprocessing)
        page = page_of(run._replace(job=job))
        assert len(page.having("img", **{"class": "tiny"})) == 12
        word = "1 channel," if channels == 1 else f"{channels} channels,"
        assert f"resnet18, 16 × 16 pixels, {word} gem pooling, linear head" in page.text


def test_the_chain_of_runs_is_shown(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    assert "this run" not in page_of(run).text
    record = run.folder.read_record()
    record.update(ancestry=ANCESTRY, network={"weights": "/runs/age/checkpoints/best.pdparams"})
    run.folder.write_record(record)
    page = page_of(run)
    assert "starting weights /runs/age/checkpoints/best.pdparams" in page.text
    assert "ImageNet → digits <0-4> → 年龄 → this run" in page.text
    assert (
        "digits <0-4> /runs/digits 7 classes (0, 1, 2, 3, 4, 5, …), 1,900 images resnet18 all_stages top-1 98.2 %"
        in page.text
    )
    assert "年龄 /runs/age 1 target (age), 12 images resnet18 last_stages R2 −0.250" in page.text


def test_a_chain_that_says_little(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    record = run.folder.read_record()
    record["ancestry"] = [{"name": "old", "weights": "weights/mine.pdparams", "data": None, "result": None}]
    run.folder.write_record(record)
    page = page_of(run)
    assert "weights/mine.pdparams → old → this run" in page.text
    assert "old – – – –" in page.text
