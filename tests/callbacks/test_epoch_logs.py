"""CSVLogger and JSONLLogger."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.callbacks.conftest import STEPS, Killed
from toolkit.callbacks import CSVLogger, JSONLLogger
from toolkit.core.errors import ConfigError, ToolkitError

KINDS = [CSVLogger, JSONLLogger]
both = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
TRAIN = [{"loss": 0.9 / (1 + epoch), "top1": 0.5, "acc": 0.5, "lr": 0.1, "seen": 12} for epoch in range(5)]


def test_a_table(tmp_path: Path, run: Any) -> None:
    run([CSVLogger(tmp_path / "deep" / "a.csv")], [0.5, 1 / 3], train=TRAIN)
    lines = (tmp_path / "deep" / "a.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "epoch,lr,train/loss,train/top1,val/loss,val/top1",
        "1,0.1,0.9,0.5,0.5,0.5",
        f"2,0.1,0.45,0.5,{1 / 3!r},0.5",
    ]


def test_lines_of_json(tmp_path: Path, run: Any) -> None:
    run([JSONLLogger(tmp_path / "a.jsonl")], [0.5, {"loss": float("nan")}], train=TRAIN)
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {
        "epoch": 1, "lr": 0.1, "train/loss": 0.9, "train/top1": 0.5, "val/loss": 0.5, "val/top1": 0.5
    }  # fmt: skip
    assert json.loads(lines[1], parse_constant=pytest.fail)["val/loss"] is None


def test_a_metric_that_comes_later_is_a_column_of_its_own(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "a.csv"
    run([CSVLogger(path)], [{"loss": 0.5}, {"loss": 0.4, "avg_loss": 0.3}, {"loss": 0.2}], train=TRAIN)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["val/avg_loss"] for row in rows] == ["", "0.3", ""]
    assert [row["val/loss"] for row in rows] == ["0.5", "0.4", "0.2"]


@both
@pytest.mark.parametrize("tail", [b"", b"3,0.", b'{"epoch": 3, "lr"', b"\xff\xfe"])
def test_a_line_that_was_cut_short_is_cut_off(kind: Any, tail: bytes, tmp_path: Path, run: Any) -> None:
    whole, path = tmp_path / "whole.log", tmp_path / "a.log"
    run([kind(whole)], [0.5, 0.4, 0.3], train=TRAIN)
    first = kind(path)

    def kill(now: int, _: Any) -> None:
        if now == 2 * (STEPS + 1):
            raise Killed

    with pytest.raises(Killed):
        run([first], [0.5, 0.4, 0.3], train=TRAIN, watch=kill)
    path.write_bytes(path.read_bytes() + tail)
    second = kind(path)
    second.set_state_dict(first.state_dict())
    run([second], [0.5, 0.4, 0.3], train=TRAIN, first=2)
    assert path.read_bytes() == whole.read_bytes()


@both
def test_lines_after_the_restored_epoch_are_cut_off(kind: Any, tmp_path: Path, run: Any) -> None:
    path = tmp_path / "a.log"
    run([kind(path)], [0.5, 0.4, 0.3, 0.2], train=TRAIN)
    whole = path.read_bytes()
    again = kind(path)
    again.set_state_dict({"epochs": 1})
    run([again], [0.5, 0.4, 0.3, 0.2], train=TRAIN, first=1)
    assert path.read_bytes() == whole


@both
def test_a_file_that_is_gone_begins_anew(kind: Any, tmp_path: Path, run: Any) -> None:
    callback = kind(tmp_path / "a.log")
    callback.set_state_dict({"epochs": 1})
    run([callback], [0.5, 0.4], train=TRAIN, first=1)
    assert (tmp_path / "a.log").read_text(encoding="utf-8").splitlines()[-1].lstrip('{"epoch: ').startswith("2")


@both
@pytest.mark.parametrize("text", ["my diary\n", "epoch,lr\n1,0.1\nnothing\n", '{"epochs": 1}\n', "[1]\n"])
def test_another_file_is_not_touched(kind: Any, text: str, tmp_path: Path, run: Any) -> None:
    path = tmp_path / "a.log"
    path.write_text(text, encoding="utf-8")
    callback = kind(path)
    callback.set_state_dict({"epochs": 1})
    with pytest.raises(ConfigError, match=f"{kind.__name__}: .* was not written by it"):
        run([callback], [0.5, 0.4], first=1)
    assert path.read_text(encoding="utf-8") == text


@both
def test_a_new_training_sets_an_older_file_aside(kind: Any, tmp_path: Path, run: Any) -> None:
    path = tmp_path / "a.log"
    path.write_text("of somebody", encoding="utf-8")
    for _ in range(2):
        run([kind(path)], [0.5])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.earlier.1.log", "a.earlier.2.log", "a.log"]
    assert (tmp_path / "a.earlier.1.log").read_text(encoding="utf-8") == "of somebody"


@both
def test_an_epoch_without_evaluation_has_a_line_too(kind: Any, tmp_path: Path, make_model: Any) -> None:
    callback = kind(tmp_path / "a.log")
    callback.set_model(make_model())
    callback.on_train_begin({})
    for epoch in range(2):
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"loss": [0.5], "step": 3, "batch_size": 2})
    callback.on_train_end({})
    lines = (tmp_path / "a.log").read_text(encoding="utf-8").splitlines()
    assert (
        lines[-2:]
        == {
            CSVLogger: ["1,0.5", "2,0.5"],
            JSONLLogger: ['{"epoch": 1, "train/loss": 0.5}', '{"epoch": 2, "train/loss": 0.5}'],
        }[kind]
    )


@both
def test_a_folder_that_cannot_be_made(kind: Any, tmp_path: Path, run: Any) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ToolkitError, match="cannot write"):
        run([kind(tmp_path / "file" / "a.log")], [0.5])
