"""Files of ModelCheckpoint: their names, which are kept, and when they are deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.callbacks import ModelCheckpoint
from toolkit.core.errors import ConfigError, ToolkitError

LOSSES = [1.0, 0.5, 0.7, 0.3, 0.4, 0.6]


@pytest.fixture
def names(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ModelCheckpoint]:
    def save(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights", encoding="utf-8")

    def build(path: str | None = "{epoch}", **wanted: Any) -> ModelCheckpoint:
        return ModelCheckpoint(
            save, tmp_path, path, **({"save_state": save} if wanted.pop("state", False) else {}), **wanted
        )

    return build


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({}, "123456"),
        ({"every_epochs": 2}, "246"),
        ({"every_epochs": 4}, "4"),
        ({"best_only": True}, "124"),
        ({"best_only": True, "min_delta": 0.3}, "12"),
        ({"best_only": True, "mode": "max"}, "1"),
        ({"keep_last": 2}, "56"),
        ({"keep_best": 2}, "45"),
        ({"keep_best": 1}, "4"),
        ({"keep_best": 2, "mode": "max"}, "13"),
        ({"keep_last": 2, "keep_best": 2}, "456"),
        ({"keep_last": 1, "keep_best": 1}, "46"),
        ({"keep_best": 1, "every_epochs": 3}, "6"),
        ({"best_only": True, "keep_last": 1}, "4"),
        ({"monitor": "train/loss", "keep_best": 1}, "1"),
    ],
)
def test_what_is_kept(wanted: dict[str, Any], kept: str, make: Any, run: Any, names: Any) -> None:
    callback = make(**wanted)
    run([callback], LOSSES)
    assert names() == [f"{epoch}.pdparams" for epoch in kept]
    assert [path for path, _ in callback.saved] == names()


def test_names_hold_numbers(make: Any, run: Any, names: Any) -> None:
    run([make("deep/{epoch:02d}-{step}-{val/loss:.3f}-{train/top1:.0%}.safetensors")], [0.25, 0.125])
    assert names() == ["deep/01-3-0.250-50%.safetensors", "deep/02-6-0.125-50%.safetensors"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"path": None}, ["001.pdparams", "002.pdparams"]),
        ({"path": None, "every_steps": 2}, ["000002.pdparams", "000004.pdparams", "000006.pdparams"]),
        ({"path": "s{step}-{train/loss:.2f}", "every_steps": 4}, ["s4-1.00.pdparams"]),
        ({"path": "{step}", "every_steps": 2, "keep_last": 1}, ["6.pdparams"]),
        ({"path": "newest"}, ["newest.pdparams"]),
        ({"path": "{epoch}", "state": True, "keep_last": 1}, ["2.optimizer.safetensors", "2.pdparams"]),
    ],
)
def test_names_and_steps(wanted: dict[str, Any], expected: list[str], make: Any, run: Any, names: Any) -> None:
    run([make(**wanted)], [0.2, 0.1])
    assert names() == expected


def test_nan_is_never_among_the_best(make: Any, run: Any, names: Any) -> None:
    run([make(keep_best=2)], [float("nan"), 0.5, float("inf")])
    assert names() == ["2.pdparams"]


def test_an_old_file_goes_only_when_the_new_one_is_whole(tmp_path: Path, run: Any, names: Any) -> None:
    def save(path: Path) -> None:
        if path.name == "2.pdparams":
            raise OSError(28, "No space left on device")
        path.write_text("weights", encoding="utf-8")

    with pytest.raises(ToolkitError, match=r"cannot write the checkpoint .*2\.pdparams: No space left"):
        run([ModelCheckpoint(save, tmp_path, "{epoch}", keep_last=1)], [0.5, 0.4])
    assert names() == ["1.pdparams"]


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path, make: Any, run: Any, names: Any) -> None:
    run([make(str(tmp_path / "elsewhere" / "{epoch}"))], [0.5])
    assert names() == ["elsewhere/1.pdparams"]


def test_files_that_somebody_has_deleted_are_forgotten(tmp_path: Path, make: Any, run: Any, names: Any) -> None:
    first = make(keep_best=2)
    run([first], LOSSES[:4])
    (tmp_path / "4.pdparams").unlink()
    second = make(keep_best=2)
    second.set_state_dict(first.state_dict())
    run([second], LOSSES, first=4)
    assert names() == ["2.pdparams", "5.pdparams"]


@pytest.mark.parametrize(
    ("path", "wanted", "words"),
    [
        ("{epoch}-{val_loss:.2f}", {}, "unknown name {val_loss}; did you mean {val/loss}?"),
        ("{epoch}-{colour}", {}, "unknown name {colour}; known are epoch, step, val/top1"),
        ("../{epoch}", {}, "leads out of the run's folder"),
        ("a/../../{epoch}", {}, "leads out of the run's folder"),
        ("{epoch.__class__}", {}, "unknown name {epoch.__class__}"),
        ("{epoch[0]}", {}, "unknown name {epoch[0]}"),
        ("{0}", {}, "unknown name {0}"),
        ("{}", {}, "unknown name {}"),
        ("{epoch!r}", {}, "not for numbers"),
        ("{epoch:{step}}", {}, "not for numbers"),
        ("{epoch:/>4}", {}, "not for numbers"),
        ("{epoch", {}, "is not a valid file name pattern"),
        ("{val/loss:d}", {}, "cannot be filled in"),
        ("\0{epoch}", {}, "is not a file name"),
        ("best", {"keep_last": 3}, "add {epoch} or {step} to it"),
        ("{val/loss:.1f}", {"keep_best": 2}, "add {epoch} or {step} to it"),
        ("{step}", {"every_steps": 5, "keep_best": 2}, "leave out every_steps"),
        ("{step}", {"every_steps": 5, "best_only": True}, "leave out every_steps"),
        ("{step}-{val/loss}", {"every_steps": 5}, "unknown name {val/loss}"),
    ],
)
def test_what_cannot_work_is_refused_before_training(path: str, wanted: dict[str, Any], words: str, make: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make(path, **wanted)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_metric_of_another_task_is_named(make: Any, run: Any) -> None:
    with pytest.raises(ConfigError, match=r"val/r2 of '\{epoch\}-\{val/r2\}.pdparams' is not measured"):
        run([make("{epoch}-{val/r2}")], [0.5])
