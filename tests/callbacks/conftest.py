"""A tiny paddle.Model, and a loop that feeds scripted logs to callbacks in the trainer's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import paddle
import pytest
from paddle.callbacks import Callback
from paddle.hapi.callbacks import CallbackList
from paddle.static import InputSpec

STEPS = 3
RATE = 1.0
METRICS = ["loss", "top1", "acc"]


@dataclass
class Trace:
    """What a scripted training did.

    Attributes:
        epochs: Epochs that ran to their end.
        rates: Learning rate after each of them.
        weight: Where the weights stood at the very end.
    """

    epochs: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    weight: float = 0.0


class Killed(Exception):
    """Ends a scripted training in the middle, without a word to the callbacks."""


def _make_model(rate: float = RATE) -> paddle.Model:
    network = paddle.nn.Linear(2, 2, weight_attr=paddle.ParamAttr(initializer=paddle.nn.initializer.Constant(0.0)))
    model = paddle.Model(network, [InputSpec([None, 2], "float32", "x")], [InputSpec([None], "int64", "y")])
    optimizer = paddle.optimizer.SGD(learning_rate=rate, parameters=network.parameters())
    model.prepare(optimizer, paddle.nn.CrossEntropyLoss(), paddle.metric.Accuracy())
    model.stop_training = False
    return model


def _run(
    callbacks: Sequence[Callback],
    script: Sequence[float | Mapping[str, float]],
    model: paddle.Model | None = None,
    first: int = 0,
    train: Sequence[Mapping[str, float]] | None = None,
    *,
    done: int = 0,
    watch: Callable[[int, paddle.Model], None] = lambda position, model: None,
) -> Trace:
    """Train by a script; the weights are a function of the step.

    Args:
        callbacks: What is tested.
        script: Evaluation logs of each epoch; a number is the loss.
        model: Taken as it is; by default a new one.
        first: Epoch to begin with, as in a resumed run.
        train: Training means of each epoch.
        done: Batches of that epoch that are done already.
        watch: Called after each batch and each epoch, with ``epoch * (STEPS + 1) + batches``; may raise ``Killed``.
    """
    model = model or _make_model()
    handler = CallbackList(list(callbacks))
    handler.set_model(model)
    handler.set_params({"epochs": len(script), "steps": STEPS, "metrics": METRICS, "verbose": 0, "batch_size": 2})
    handler.on_begin("train", {})
    trace = Trace()
    for epoch in range(first, len(script)):
        if model.stop_training:
            break
        handler.on_epoch_begin(epoch, {})
        for step in range(done if epoch == first else 0, STEPS):
            handler.on_batch_begin("train", step, {})
            model.network.weight.set_value(paddle.full([2, 2], float(epoch * STEPS + step + 1)))
            logs = {"loss": 1.0 / (1 + step), "top1": 0.5, "acc": 0.5, "lr": model._optimizer.get_lr()}
            handler.on_batch_end("train", step, logs)
            watch(epoch * (STEPS + 1) + step + 1, model)
        handler.on_epoch_end(epoch, dict(train[epoch]) if train else {"loss": 1.0, "top1": 0.5, "acc": 0.5})
        handler.on_begin("eval", {"steps": 1, "metrics": METRICS})
        line = script[epoch]
        handler.on_end("eval", dict(line) if isinstance(line, Mapping) else {"loss": line, "top1": 0.5, "acc": 0.5})
        trace.epochs.append(epoch)
        trace.rates.append(float(model._optimizer.get_lr()))
        watch((epoch + 1) * (STEPS + 1), model)
    handler.on_end("train", {})
    trace.weight = float(model.network.weight[0, 0])
    return trace


@pytest.fixture
def make_model() -> Callable[..., paddle.Model]:
    return _make_model


@pytest.fixture
def run() -> Callable[..., Trace]:
    return _run


@pytest.fixture
def read_record() -> Callable[[Any], dict[str, list[tuple[int, float]]]]:
    """Read a VisualDL record: tag -> list of (step, value) for scalars."""

    def read(path: Any) -> dict[str, list[tuple[int, float]]]:
        from visualdl import LogReader

        reader = LogReader(file_path=str(path))
        tags = reader.get_tags().get("scalar", [])
        return {
            tag.replace("%", "/"): [(item.id, round(item.value, 6)) for item in reader.get_data("scalar", tag)]
            for tag in tags
        }

    return read
