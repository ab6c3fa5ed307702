"""The monitor base: names, modes, and where the numbers come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.callbacks import MonitorCallback
from toolkit.callbacks.base import as_float
from toolkit.config import MonitorConfig, make_config
from toolkit.core.errors import ConfigError

JOB = {"name": "job", "model": {"name": "lenet"}, "data": {"format": "digits"}}


class Watch(MonitorCallback):
    """Records its calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seen: list[tuple[float, bool]] = []
        super().__init__(*args, **kwargs)

    def decide(self, value: float, better: bool) -> None:
        self.seen.append((value, better))


@pytest.mark.parametrize(
    ("monitor", "mode", "expected"),
    [
        ("val/loss", "auto", "min"),
        ("train/loss", "auto", "min"),
        ("loss", "auto", "min"),
        ("val/top1", "auto", "max"),
        ("val/macro_f1", "auto", "max"),
        ("val/loss", "max", "max"),
        ("top1", "min", "min"),
    ],
)
def test_mode(monitor: str, mode: str, expected: str) -> None:
    assert Watch(monitor, mode).mode == expected


def test_unknown_mode() -> None:
    with pytest.raises(ConfigError, match="unknown mode 'least'"):
        Watch("val/loss", "least")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("val_loss", "val/loss"),
        ("val_acc", "val/top1"),
        ("val_accuracy", "val/top1"),
        ("acc", "val/top1"),
        ("loss", "val/loss"),
        ("train_loss", "train/loss"),
        ("validation/accuracy", "val/top1"),
        ("val/acc", "val/top1"),
        ("macro_f1", "val/macro_f1"),
        ("val_macro_f1", "val/macro_f1"),
        ("val_avg_loss", "val/avg_loss"),
        ("avg_top1", "val/avg_top1"),
    ],
)
def test_spellings_of_other_frameworks(spelling: str, name: str) -> None:
    assert Watch(spelling).monitor == name
    assert Watch(spelling).mode == ("min" if name.endswith("loss") else "max")
    averaging = {"weight_averaging": "ema"} if "avg_" in name else {}
    config = make_config({**JOB, "callbacks": {"early_stopping": {"monitor": spelling}, **averaging}})
    assert config.callbacks.early_stopping is not None
    assert config.callbacks.early_stopping.monitor == name


@pytest.mark.parametrize("spelling", ["SGD", "Momentum", "Adam", "AdamW", " adamw "])
def test_optimizers_as_their_classes_are_called(spelling: str) -> None:
    assert make_config({**JOB, "train": {"optimizer": spelling}}).train.optimizer == spelling.strip().lower()


def test_a_plain_name_means_validation() -> None:
    assert Watch("top1").monitor == "val/top1"


def test_the_config_lists_the_known_monitors() -> None:
    documented = MonitorConfig.model_fields["monitor"].description or ""
    for name in MonitorCallback.known_monitors:
        assert name in documented


@pytest.mark.parametrize(
    ("mode", "delta", "values", "better"),
    [
        ("min", 0.0, [1.0, 1.0, 0.9], [True, False, True]),
        ("max", 0.0, [1.0, 1.0, 1.1], [True, False, True]),
        ("min", 0.25, [1.0, 0.8, 0.75, 0.7], [True, False, False, True]),
        ("max", 0.25, [1.0, 1.2, 1.25, 1.3], [True, False, False, True]),
        ("max", -0.25, [1.0, 1.2, 1.3], [True, False, True]),
    ],
)
def test_min_delta(mode: str, delta: float, values: list[float], better: list[bool], run: Any) -> None:
    watch = Watch("val/loss", mode, delta)
    run([watch], values)
    assert watch.seen == list(zip(values, better, strict=True))


def test_training_metrics_decide_after_the_evaluation(run: Any) -> None:
    watch = Watch("train/loss")
    run([watch], [9.0, 9.0, 9.0], train=[{"loss": 3.0}, {"loss": 2.0}, {"loss": 2.5}])
    assert watch.seen == [(3.0, True), (2.0, True), (2.5, False)]
    assert (watch.best, watch.best_epoch) == (2.0, 1)


@pytest.mark.parametrize("value", [2, 2.0, [2.0], np.float32(2), np.array([2.0])])
def test_numbers_as_paddle_gives_them(value: Any) -> None:
    assert as_float(value) == 2.0


def test_averaged_weights_are_watched_from_when_there_are_some(run: Any, make_model: Any) -> None:
    watch = Watch("avg_loss")
    assert (watch.monitor, watch.mode) == ("val/avg_loss", "min")
    watch.set_model(make_model())
    watch.set_params({"metrics": ["loss", "avg_loss"]})
    watch.on_train_begin({})
    for epoch, logs in enumerate([{"loss": 0.1}, {"loss": 0.1, "avg_loss": 0.5}, {"loss": 0.1, "avg_loss": 0.4}]):
        watch.on_epoch_begin(epoch, {})
        watch.on_eval_end(logs)
    assert watch.seen == [(0.5, True), (0.4, True)]
    with pytest.raises(ConfigError, match="val/avg_loss is not measured"):  # nothing is averaged in this training
        run([Watch("avg_loss")], [0.5])
