"""The page: complete, self-contained, and safe with any class name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tests.bakeoff.conftest import row
from tests.explain.page import Page, page_of
from tests.jobs import digits_jobs, untrained_weights
from toolkit.bakeoff import Comparison
from toolkit.commands import train
from toolkit.core.console import command
from toolkit.core.errors import DataError
from toolkit.engine import RunResult, Trainer
from toolkit.explain import write_report
from toolkit.tasks import TASKS

pytestmark = pytest.mark.usefixtures("unrendered")
SECTIONS = ["made", "curves", "confusion", "classes", "mistakes", "calibration"]
SECTIONS += ["plan", "proof", "data", "environment", "again"]
MAIN = TASKS["classification"].main
NETWORK = "mobilenet_v1_x0_25"


def many(count: int) -> tuple[str, ...]:
    return tuple(f"class {number:03d}" for number in range(count))


@pytest.mark.usefixtures("rendered")
def test_all_sections_are_there(finished: Callable[..., Any]) -> None:
    page = page_of(finished(("cat", "dog", "cow")))
    assert page.sections == SECTIONS
    for words in (
        "Top-1 83.3 % on 12 validation images (95 % interval 55.2 % to 95.3 %), epoch 2 of 3",
        "10 of 12 are correct, in 3 classes",
        "would reach 33.3 %",
        "expect a little less on new ones",
        "resnet18, 16 × 16 pixels, linear head",
        "ImageNet, from Paddle's model zoo",
        "32 images per step, momentum, cosine schedule",
        "500 of 3,500",
        "1 min 1 s",
        "layer1 16 × 8 × 8 2,000 yes –",
        "head 3 500 no 0.01",
        "2 frozen stages, 7 arrays of weights and BatchNorm statistics compared bit for bit: none changed",
        "Paddle 3.3.1",
        "git abcdef012345",
        "f00d" * 16,
        command("train", "-c"),
        "Wilson: Probable Inference",
    ):
        assert words in page.text, words


def test_the_test_images_are_called_so(finished: Callable[..., Any]) -> None:
    page = page_of(finished(("cat", "dog"), test=True))
    assert "on 8 test images" in page.text
    assert "expect a little less" not in page.text
    assert "class training validation test cat 4 4 4 dog 4 4 4 all 8 8 8" in page.text


@pytest.mark.usefixtures("rendered")
def test_nothing_comes_from_elsewhere(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog", "cow"))
    page = page_of(run)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    addresses = [of[key] or "" for _, of in page.tags for key in ("src", "href", "srcset", "action") if key in of]
    assert len(addresses) == 5  # two curves, a reliability diagram, two mistakes
    assert all(address.startswith("data:image/") for address in addresses)
    assert not [key for _, of in page.tags for key in of if key.startswith("on")]
    text = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert not [words for words in ("http:", "https:", "@import", "url(") if words in text]


def test_names_are_text_and_nothing_else(finished: Callable[..., Any]) -> None:
    names = ("<b>bold</b>", "</style><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }} & $x$")
    run = finished(names, transfer={"preset": "custom", "phases": [{"epochs": 1, "freeze": "all", "name": "<i>one</i>"},
                                                                   {"epochs": 1, "name": "two"}]})  # fmt: skip
    plain = finished_tags(page_of(run))
    assert not {"b", "script"} & set(plain)
    page = Page((run.folder.path / "report.html").read_text(encoding="utf-8"))
    for name in (*names, "<i>one</i>"):
        assert name in page.text
    assert all((of.get("src") or "").startswith("data:") for of in page.having("img"))


def finished_tags(page: Page) -> list[str]:
    return [tag for tag, _ in page.tags]


def test_names_in_any_script(finished: Callable[..., Any]) -> None:
    names = ("红翅黑鹂", "طائر", "🐦 птица", "caf\udce9")
    page = page_of(finished(names, mistakes=4, name="鸟 vögel"))
    for name in ("鸟 vögel", "红翅黑鹂", "طائر", "🐦 птица", "caf\\udce9"):
        assert name in page.text


def test_few_classes_have_a_matrix(finished: Callable[..., Any]) -> None:
    page = page_of(finished(many(20)))
    assert page.having("table", **{"class": "matrix"})
    assert len(page.having("td", **{"class": "dark"})) == 19  # the diagonal but for the class with mistakes
    assert "most confused pairs" not in page.text
    rows = ["class 000 1.000 0.500", "class 001 0.667 1.000", "class 002 1.000 1.000"]
    assert sorted(rows, key=page.text.index) == rows


def test_many_classes_have_lists_with_the_worst_first(finished: Callable[..., Any]) -> None:
    run = finished(many(21), mistakes=0)
    run.outputs[40:44] = np.roll(run.outputs[40:44], 1, axis=1)  # all of class 010 are taken for class 011
    run.outputs[80] = run.outputs[0]  # and one of class 020 for class 000
    page = page_of(run)
    assert not page.having("table", **{"class": "matrix"})
    assert "class 010 class 011 4 100.0 % class 020 class 000 1 25.0 %" in page.text
    rows = ["class 010 – 0.000 0.000 4", "class 011 0.500 1.000 0.667 4", "class 020 1.000 0.750 0.857 4"]
    rows += ["class 000 0.800 1.000 0.889 4", "class 001 1.000 1.000 1.000 4"]
    assert sorted(rows, key=page.text.index) == rows
    assert "the other 1 class " in page.text
    assert "fewest per class median most training 84 4 4 4" in page.text
    assert len([tag for tag, _ in page.tags if tag == "details"]) == 2


def test_mistakes_are_shown_most_confident_first_and_at_most_twelve(finished: Callable[..., Any]) -> None:
    page = page_of(finished(many(5), mistakes=18))
    shown = [of["alt"] for of in page.having("img", **{"class": "tiny"})]
    assert shown == [f"{number:04d}" for number in range(12)]
    assert "is class 000 predicted class 001 , 9" in page.text


def test_only_the_pictures_shown_are_read(finished: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(many(5), mistakes=3)
    images, read = run.job.data.val, []
    whole = images.read
    monkeypatch.setattr(images, "read", lambda index: read.append(index) or whole(index))
    page_of(run)
    assert read == [0, 1, 2]


def test_a_missing_picture_is_reported(finished: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(("cat", "dog"))

    def gone(index: int) -> None:
        raise DataError("gone")

    monkeypatch.setattr(run.job.data.val, "read", gone)
    assert page_of(run).text.count("cannot be read") == 2


def test_no_mistakes(finished: Callable[..., Any]) -> None:
    page = page_of(finished(many(30), mistakes=0))
    assert "None: all 120 images are correct" in page.text
    assert "No two classes were confused" in page.text
    assert "Top-1 100.0 % on 120 validation images (95 % interval 96.9 % to 100.0 %)" in page.text


def test_comparison(finished: Callable[..., Any]) -> None:
    rows = [
        Comparison("all_stages", MAIN, (0.9, 0.8), (10.0, 12.0), 3500),
        Comparison("scratch", MAIN, (0.5, 0.6), (30.0, 31.0), 3500),
    ]
    run = finished(("cat", "dog"))
    page = page_of(run, rows)
    assert "comparison" in page.sections
    assert "all_stages 85.0 % ± 7.1 3,500 11.0 scratch 55.0 % ± 7.1 3,500 30.5" in page.text
    assert "Means of 2 seeds" in page.text
    assert len(page.having("tr", **{"class": "best"})) == 1
    page = page_of(run, [row("all_stages", (0.9, 0.6, 0.9, 0.9)), row("scratch", (0.3, 0.3, 0.2, 0.3))])
    low, high = ttest_rel((90, 60, 90, 90), (30, 30, 20, 30)).confidence_interval(0.95)
    assert f"against scratch (55.0 points, 95 % interval {low:.1f} to {high:.1f})" in page.text


def test_a_run_without_records_still_has_a_report(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    run.folder.record.unlink()
    run.folder.metrics.unlink()
    page = page_of(run)
    assert page.sections == SECTIONS
    assert "No epoch was recorded" in page.text


def test_a_solved_head_is_reported_with_the_nearest_neighbours(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    assert "exact solver" not in page_of(run).text
    neighbours = [{"k": k, "val": {"top1": top1}} for k, top1 in ((1, 0.5), (5, 0.625))]
    solver = {"regularisation": 10.0, "trials": [{}, {}, {}], "seconds": 0.25, "neighbours": neighbours}
    run.folder.write_record({**run.folder.read_record(), "solver": solver})
    text = page_of(run).text
    assert "exact solver regularisation 10, the best of 3 on validation images, in 0.2 s" in text
    assert "nearest neighbours for comparison, top-1 on validation images: 50.0 % with 1, 62.5 % with 5" in text
    del solver["neighbours"]  # of an earlier version
    run.folder.write_record({**run.folder.read_record(), "solver": solver})
    assert "exact solver" in (text := page_of(run).text)
    assert "nearest neighbours" not in text


def test_moved_arrays_are_not_hidden(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    record = run.folder.read_record()
    record["frozen_check"][0]["moved"] = ["stem.weight"]
    run.folder.write_record(record)
    assert "1 changed (stem.weight)" in page_of(run).text.replace(" ) ", ") ").replace("( ", "(").replace(" )", ")")


def test_foreign_logits_are_refused(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    for outputs, labels in (
        (run.outputs[:-1], run.labels[:-1]),
        (run.outputs, 1 - run.labels),
        (run.outputs.T, run.labels),
    ):
        with pytest.raises(ValueError, match="do not belong"):
            write_report(run.job, run.folder, outputs, labels)


@pytest.mark.usefixtures("rendered")
def test_the_report_is_the_same_each_time(finished: Callable[..., Any]) -> None:
    run = finished(("cat", "dog"))
    first, second = (write_report(*run).read_bytes() for _ in range(2))
    assert first == second


def test_after_training_on_cached_features_only_the_pictures_shown_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = digits_jobs(
        tmp_path,
        model={"name": NETWORK, "pretrained": str(untrained_weights(NETWORK, 5, tmp_path))},
        data={"classes": ["5", "6", "7"], "samples_per_class": 4, "batch_size": 5, "val_fraction": 0.1},
        transfer={"preset": "linear_probe"},
        train={"epochs": 1},
    )()
    read: list[int] = []

    def fit(trainer: Trainer, resume: Any = None) -> RunResult:
        result, images = trained(trainer, resume), trainer.job.data.val
        whole = images.read
        monkeypatch.setattr(images, "read", lambda index: read.append(index) or whole(index))
        return result

    trained = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", fit)
    best = train.train(config).json["best"]
    page = Page((tmp_path / "runs" / "job" / "report.html").read_text(encoding="utf-8"))
    assert f"Top-1 {100 * best['top1']:.1f} %" in page.text
    assert len(page.having("img", **{"class": "tiny"})) == len(read) <= 12


@pytest.mark.parametrize("report", [True, False])
def test_training_writes_it(tmp_path: Path, report: bool) -> None:
    config = digits_jobs(
        tmp_path,
        model={"name": NETWORK, "pretrained": False},
        data={"classes": ["0", "1"], "samples_per_class": 10},
        transfer="scratch",
        train={"epochs": 1},
    )(export={} if report else {"report": False})
    outcome = train.train(config)
    path = tmp_path / "runs" / "job" / "report.html"
    assert outcome.json.get("report") == (str(path) if report else None)
    assert (f"report: {path}" in outcome.text) == report
    assert path.is_file() == report
    if report:
        page = Page(path.read_text(encoding="utf-8"))
        best, share = outcome.json["best"], np.round(100 * outcome.json["best"]["top1"], 1)
        assert f"Top-1 {share:.1f} %" in page.text
        assert f"epoch {best['epoch']} of 1" in page.text
