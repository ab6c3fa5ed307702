"""The trainer on a small real task."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import toolkit.engine.trainer
from tests.engine.run_helpers import features_of, lines_of, logistic_regression, weights_of
from toolkit.config import Config, load_config
from toolkit.core.errors import ConfigError, Interrupted, ToolkitError, TrainingError
from toolkit.engine import Trainer, build_job, evaluate_job
from toolkit.engine.callbacks import CallbackList
from toolkit.engine.solvers.phase import settle_solver

Make = Callable[..., Config]
ONE_PHASE = {"preset": "custom", "phases": [{"epochs": 1, "freeze": "all"}]}


class StopsItself(paddle.callbacks.Callback):
    """Sends Ctrl-C during an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.at, self.epoch = epoch, -1

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        if self.epoch == self.at and step == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_writes_all_its_files(make: Make) -> None:
    result = Trainer.from_config(make(log={"visualdl": True, "sample_images": 4})).fit()
    folder = result.folder
    for path in (folder.config, folder.record, folder.metrics, folder.best, folder.last):
        assert path.is_file(), path
    assert list(folder.visualdl.glob("vdlrecords.*.log"))
    assert [line["epoch"] for line in lines_of(folder)] == [1, 2]
    record = folder.read_record()
    assert record["finished"]
    assert record["result"] == json.loads(json.dumps(result.to_json()))
    assert record["frozen_check"] == [
        {
            "phase": "head",
            "frozen_stages": 9,
            "arrays_checked": record["frozen_check"][0]["arrays_checked"],
            "moved": [],
        }
    ]
    assert record["frozen_check"][0]["arrays_checked"] > 50
    assert set(result.best) == {"top1", "top5", "macro_f1", "loss", "epoch"}
    counts = result.parameters
    assert counts["trainable"] == 128 * 3 + 3
    assert counts["total"] == counts["trainable"] + counts["frozen"]
    assert sum(stage["parameters"] for stage in record["network"]["stages"]) == counts["frozen"]


def test_best_is_reproduced_from_its_weights(make: Make) -> None:
    result = Trainer.from_config(make(train={"epochs": 3})).fit()
    config = load_config(result.folder.config)
    metrics = evaluate_job(build_job(config, weights=result.folder.best))
    assert metrics["top1"] == result.best["top1"]
    assert metrics["loss"] == pytest.approx(result.best["loss"], rel=1e-4)


def test_same_config_and_seed_give_the_same_metrics_twice(make: Make) -> None:
    config = make(transfer={"preset": "all_stages"}, model={"head": {"type": "mlp", "dropout": 0.5}})
    first, second = (Trainer.from_config(config).fit() for _ in range(2))
    assert first.folder.path != second.folder.path
    assert first.last == second.last
    other = Trainer.from_config(config.model_copy(update={"seed": 1})).fit()
    assert other.last["loss"] != first.last["loss"]


@pytest.mark.parametrize("transfer", [{"preset": "linear_probe"}, {"preset": "custom", "freeze": "layer2.1"}])
def test_cached_and_uncached_training_are_the_same(make: Make, transfer: dict) -> None:
    runs = []
    for enabled in (True, False):
        config = make(
            transfer=transfer,
            cache={"enabled": enabled, "dtype": "float32"},
            data={"augment": "none"},
            train={"epochs": 4},
        )
        runs.append(lines_of(Trainer.from_config(config).fit().folder))
    for cached, uncached in zip(*runs, strict=True):
        assert cached["train"]["loss"] == pytest.approx(uncached["train"]["loss"], rel=1e-4)
        assert cached["val"]["loss"] == pytest.approx(uncached["val"]["loss"], rel=1e-4)
        assert cached["val"]["top1"] == uncached["val"]["top1"]


def test_cached_features_are_reused_only_for_the_same_preprocessing(make: Make, tmp_path: Path) -> None:
    config = make()
    Trainer.from_config(config).fit()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/shard-*.npy")}
    Trainer.from_config(config).fit()
    assert len(before) == 2
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/shard-*.npy")}
    Trainer.from_config(make(data={"crop_ratio": 0.8})).fit()
    assert len(list((tmp_path / "cache").glob("*/shard-*.npy"))) == 4


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_two_phases_freeze_first_and_move_later(make: Make, batch_norm: str) -> None:
    phases = [{"epochs": 1, "freeze": "all", "name": "head"}, {"epochs": 1, "freeze": "layer1.1", "backbone_lr": 0.5}]
    config = make(transfer={"preset": "custom", "phases": phases, "batch_norm": batch_norm})
    trainer = Trainer.from_config(config)
    before = {key: value.numpy() for key, value in trainer.job.network.state_dict().items()}
    result = trainer.fit()
    after = weights_of(result.folder)
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    assert not {key for key in moved if key.startswith(("conv1", "bn1", "layer1"))}
    assert {"layer2.0.conv1.weight", "layer4.1.bn2.weight", "fc.weight"} <= moved
    assert any(key.endswith("._mean") for key in moved) is (batch_norm == "train")
    assert ("layer4.1.bn2._variance" in moved) is (batch_norm == "train")
    assert [proof["frozen_stages"] for proof in result.folder.read_record()["frozen_check"]] == [9, 3]
    assert [line["phase"] for line in lines_of(result.folder)] == ["head", "phase 2"]


def test_a_network_without_weights_learns_its_statistics_and_has_no_head_first(make: Make) -> None:
    job = build_job(make(model={"pretrained": False}, transfer={"preset": "all_stages"}, train={"epochs": None}))
    assert (job.plan.batch_norm, len(job.plan.phases)) == ("train", 1)
    job = build_job(make(transfer={"preset": "all_stages"}, train={"epochs": None}))
    assert (job.plan.batch_norm, len(job.plan.phases)) == ("frozen", 2)
    with pytest.raises(ConfigError, match=r"transfer\.batch_norm: model\.pretrained: false"):
        build_job(make(model={"pretrained": False}, transfer={"preset": "all_stages", "batch_norm": "frozen"}))


@pytest.mark.parametrize("preset", ["linear_probe", "all_stages"])
def test_an_interrupted_run_resumes_to_the_same_weights(
    make: Make, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {"transfer": {"preset": preset}, "train": {"epochs": 4, "optimizer": "adamw"}}
    whole = Trainer.from_config(make(**sections)).fit()
    trainer = Trainer.from_config(make(**sections))
    build = toolkit.engine.trainer.build_callbacks

    def with_stop(*args: Any, **kwargs: Any) -> CallbackList:
        fan = build(*args, **kwargs)
        return CallbackList([*fan._callbacks, StopsItself(2)], trainer.model, trainer.job)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="--resume"):
        patch.setattr(toolkit.engine.trainer, "build_callbacks", with_stop)
        trainer.fit()
    interrupted = trainer.folder
    assert [line["epoch"] for line in lines_of(interrupted)] == [1, 2]
    resumed = Trainer.from_config(load_config(interrupted.config)).fit(resume=interrupted.path)
    assert resumed.last == whole.last
    assert resumed.best == whole.best
    expected, found = weights_of(whole.folder), weights_of(resumed.folder)
    assert all(np.array_equal(expected[key], found[key]) for key in expected)
    strip = ("epoch", "train", "val")
    assert [{k: line[k] for k in strip} for line in lines_of(whole.folder)] == [
        {k: line[k] for k in strip} for line in lines_of(resumed.folder)
    ]


def test_a_loss_that_is_nan_stops_with_a_clear_error(make: Make) -> None:
    trainer = Trainer.from_config(make(transfer={"preset": "all_stages"}, train={"lr": 1e30, "epochs": 3}))
    with pytest.raises(TrainingError, match=r"(?i)nan|finite|inf") as caught:
        trainer.fit()
    assert "\n" not in caught.value.message
    assert not trainer.folder.read_record()["finished"]


def test_early_stopping_and_plateau_act(make: Make) -> None:
    callbacks = {
        "early_stopping": {"monitor": "val/top1", "min_delta": 1.0, "patience": 3},
        "reduce_on_plateau": {"monitor": "val/top1", "min_delta": 1.0, "patience": 1, "factor": 0.5},
    }
    config = make(callbacks=callbacks, train={"epochs": 20, "schedule": "constant", "lr": 0.01})
    lines = lines_of(Trainer.from_config(config).fit().folder)
    assert len(lines) == 4
    assert [round(line["train"]["lr"], 6) for line in lines] == [0.01, 0.01, 0.005, 0.0025]


def test_a_wrong_callback_leaves_no_folder(make: Make, tmp_path: Path) -> None:
    trainer = Trainer.from_config(make(callbacks={"custom": ["toolkit.engine.NoSuchCallback"]}))
    with pytest.raises(ConfigError, match="NoSuchCallback"):
        trainer.fit()
    assert not (tmp_path / "runs").exists()


def test_paddles_own_callbacks_run_unchanged(make: Make) -> None:
    custom = [
        {"path": "paddle.callbacks.EarlyStopping", "args": {"monitor": "acc", "patience": 1, "save_best_model": False}},
        {"path": "paddle.callbacks.ReduceLROnPlateau", "args": {"monitor": "loss", "patience": 1, "verbose": 0}},
    ]
    config = make(callbacks={"custom": custom}, train={"epochs": 30, "lr": 1e-9})
    lines = lines_of(Trainer.from_config(config).fit().folder)
    assert 2 <= len(lines) < 30


def test_frozen_random_weights_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="stay random"):
        build_job(make(model={"pretrained": False}))


def test_a_solved_head_becomes_the_networks_head(make: Make) -> None:
    config = make(train={"solver": "exact", "epochs": None})
    result = Trainer.from_config(config).fit()
    assert [line["epoch"] for line in lines_of(result.folder)] == [1]
    recorded = result.folder.read_record()["solver"]
    assert recorded["solver"] == "exact"
    assert [each["k"] for each in recorded["neighbours"]] == [1, 5, 20]
    assert all(each["val"].keys() == recorded["trials"][0]["val"].keys() for each in recorded["neighbours"])
    again = evaluate_job(build_job(config, weights=result.folder.best))
    assert again["loss"] == pytest.approx(result.best["loss"], rel=1e-4)
    trained = Trainer.from_config(make(train={"epochs": 30})).fit()
    assert lines_of(result.folder)[0]["train"]["loss"] < lines_of(trained.folder)[0]["train"]["loss"]


@pytest.mark.parametrize("preset", ["linear_probe", "shallow_probe"])
def test_a_head_alone_is_solved_by_default_as_well_as_by_scikit_learn(
    make: Make, preset: str, full_resnet18: Path
) -> None:
    data = {"classes": None, "samples_per_class": 20, "val_fraction": 0.3}
    model = {"pretrained": str(full_resnet18)}
    config = make(train={"epochs": None}, transfer={"preset": preset}, data=data, model=model)
    job = build_job(config)
    trainer = Trainer(job)
    result = trainer.fit()
    assert [(phase.solver, phase.epochs) for phase in trainer.job.plan.phases] == [("exact", 1)]
    assert [line["epoch"] for line in lines_of(result.folder)] == [1]
    assert any("train.solver: sgd" in note for note in trainer.job.plan.notes)
    assert result.folder.read_record()["solver"]["chosen_by"] == "cross-validation"
    x, y, val_x, val_y = features_of(trainer.job)
    assert result.best["top1"] >= logistic_regression(x, y).score(val_x, val_y) - 0.02


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"train": {"epochs": 1}}, "train.epochs"),
        (
            {"train": {"lr": 0.01, "epochs": None}, "transfer": {"phases": [{"epochs": 1, "freeze": "all"}]}},
            "train.lr and transfer.phases",
        ),
        ({"train": {"schedule": "step", "label_smoothing": 0.1}}, "train.label_smoothing and train.schedule"),
        ({"train": {"class_weights": "balanced"}}, "train.class_weights"),
        ({"callbacks": {"weight_averaging": True}}, "callbacks.weight_averaging"),
        ({"data": {"sampling": "balanced"}}, "data.sampling: balanced"),
        ({"model": {"head": "mlp"}}, "model.head.type: mlp"),
        ({"model": {"head": {"dropout": 0.2}}}, "model.head.dropout"),
        ({"model": {"pooling": "gem"}}, "model.pooling is gem"),
        ({"cache": {"enabled": False}}, "needs cached features"),
        ({"cache": {"max_size": 1000}}, "more than cache.max_size"),
        ({"data": {"augment": "standard"}}, "augmentation"),
    ],
)
def test_a_head_is_trained_where_the_config_says_so_or_nothing_else_is_possible(
    make: Make, sections: dict, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train = {"epochs": None, **sections.get("train", {})}
    job = settle_solver(build_job(make(**{**sections, "train": train})))
    assert {phase.solver for phase in job.plan.phases} == {"sgd"}
    said = " ".join(capsys.readouterr().err.split())
    assert "the head is trained by momentum, not solved" in said
    assert why in said


def test_fine_tuning_and_an_explicit_solver_are_left_alone(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for sections in ({"transfer": {"preset": "all_stages"}}, {"train": {"solver": "sgd", "epochs": None}}):
        job = settle_solver(build_job(make(**sections)))
        assert {phase.solver for phase in job.plan.phases} == {"sgd"}
    assert "not solved" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"transfer": {"preset": "all_stages"}}, "exact is for a head on frozen stages"),
        ({"cache": {"enabled": False}}, "needs cached features"),
        ({"data": {"augment": "standard"}}, "changes them"),
        ({"model": {"head": "mlp"}}, "linear"),
    ],
)
def test_what_cannot_be_solved_is_refused_before_anything_is_written(make: Make, sections: dict, words: str) -> None:
    config = make(**{"train": {"solver": "exact"}, **sections})
    with pytest.raises(ToolkitError, match=words):
        Trainer.from_config(config).fit()
    assert not config.output_dir.exists()


def test_head_first_solved_then_fine_tuned(make: Make) -> None:
    phases = [{"epochs": 9, "freeze": "all"}, {"epochs": 1, "freeze": "layer3.1", "backbone_lr": 0.5}]
    config = make(transfer={"preset": "custom", "phases": phases}, data={"augment": "none"}, train={"solver": "exact"})
    result = Trainer.from_config(config).fit()
    assert [line["epoch"] for line in lines_of(result.folder)] == [1, 2]
