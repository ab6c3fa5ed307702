"""TerminateOnNaN ends a training in words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from paddle.callbacks import Callback

from toolkit.callbacks import TerminateOnNaN
from toolkit.core.errors import TrainingError


@pytest.mark.parametrize("bad", [math.nan, math.inf, [math.nan]])
def test_training_loss(bad: Any, make_model: Any) -> None:
    callback = TerminateOnNaN()
    callback.set_model(make_model(0.25))
    callback.on_epoch_begin(2)
    callback.on_train_batch_end(6, {"loss": 1.0})
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in epoch 3, step 7") as caught:
        callback.on_train_batch_end(6, {"loss": bad})
    assert "lower train.lr (now 0.25)" in (caught.value.hint or "")


def test_a_loss_that_explodes(make_model: Any) -> None:
    callback = TerminateOnNaN()
    callback.set_model(make_model(0.25))
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, {"loss": 0.99e9})
    with pytest.raises(TrainingError, match=r"the loss became 1\.01e\+09 in epoch 1, step 2"):
        callback.on_train_batch_end(1, {"loss": 1.01e9})


def test_validation_loss_before_a_later_callback_sees_it(run: Any) -> None:
    class Later(Callback):
        evaluations = 0

        def on_eval_end(self, logs: Any = None) -> None:
            self.evaluations += 1

    later = Later()
    with pytest.raises(TrainingError, match="nan on the validation images after epoch 2"):
        run([TerminateOnNaN(), later], [1.0, math.nan])
    assert later.evaluations == 1


def test_without_a_loss_there_is_nothing_to_say() -> None:
    TerminateOnNaN().on_train_batch_end(0, {})
    TerminateOnNaN().on_eval_end(None)
