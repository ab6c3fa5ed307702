"""Mixed precision is refused where it has no effect, and its loss scaling is resumed.

Paddle has no mixed precision on a CPU. Loss scaling works there once Paddle believes that it has a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.amp.auto_cast import amp_global_state

import toolkit.engine.learning.step as stepper_module
from tests.engine.run_helpers import weights_of
from tests.engine.runs.test_resume import Stops, assert_same, finetune
from toolkit.config import Config, TrainConfig
from toolkit.core.errors import ConfigError, Interrupted
from toolkit.engine import RunFolder, Trainer, build_job, evaluate_job, predict_outputs
from toolkit.engine.learning.precision import autocast, check_device, make_scaler
from toolkit.engine.runs.checkpoints import load_newest

Make = Callable[..., Config]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"amp": "O1"}, "amp: O1 needs a GPU"),
        ({"amp": "O2", "amp_dtype": "bfloat16"}, "amp: O2 needs a GPU"),
        ({"sync_batch_norm": True}, "sync_batch_norm needs GPUs"),
    ],
)
def test_a_cpu_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_device(TrainConfig(**settings))


def test_what_a_cpu_can_do_is_not_refused() -> None:
    check_device(TrainConfig())


def test_a_gpu_without_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: False)
    with pytest.raises(ConfigError, match="gpu:0 has less"):
        check_device(TrainConfig(amp="O1", amp_dtype="bfloat16"))
    check_device(TrainConfig(amp="O1"))


def test_training_is_refused_before_anything_is_written(make: Make) -> None:
    config = make(train={"amp": "O1"})
    with pytest.raises(ConfigError, match="needs a GPU"):
        Trainer.from_config(config).fit()
    assert not config.output_dir.exists()


def test_a_run_in_mixed_precision_is_evaluated_on_a_cpu(make: Make) -> None:
    result = Trainer.from_config(make()).fit()  # its features are Paddle's: so must be those of the evaluation
    config = make(train={"amp": "O2", "fast_convolutions": False})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with autocast(config.train):
            assert paddle.matmul(paddle.ones([2, 2]), paddle.ones([2, 2])).dtype == paddle.float32
        assert not make_scaler(config.train).is_enable()
    found = evaluate_job(build_job(config, weights=result.folder.best))
    assert all(found[name] == result.best[name] for name in ("loss", "top1"))


def test_outputs_in_half_precision_are_measured_in_single(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    job = build_job(make())
    real = job.network.forward
    monkeypatch.setattr(job.network, "forward", lambda x: real(x).astype("float16"))
    loader = job.loader(job.data.val, training=False)
    outputs, labels = predict_outputs(job.network, loader)
    assert outputs.dtype == np.float32
    metrics = job.objective.metrics(outputs, labels)
    assert all(isinstance(value, float) for value in metrics.values())
    assert np.isfinite(metrics["loss"])


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Loss scaling on a CPU, which grows every second step."""
    settings: dict[str, Any] = {"amp": "O1", "init_loss_scaling": 2.0**10, "incr_every_n_steps": 2}
    place = SimpleNamespace(is_gpu_place=lambda: True)

    def make_one(train: TrainConfig) -> paddle.amp.GradScaler:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("paddle.amp.grad_scaler._dygraph_tracer", lambda: SimpleNamespace(_expected_place=place))
            patch.setattr(paddle, "get_device", lambda: "gpu:0")
            words = {key: value for key, value in settings.items() if key != "amp"}
            return make_scaler(TrainConfig(amp=settings["amp"]), **words)

    monkeypatch.setattr(stepper_module, "make_scaler", make_one)
    monkeypatch.setattr(amp_global_state(), "amp_dtype", "float16")  # Paddle's switches itself off for others
    return settings


def test_scaled_losses_give_the_same_updates(make: Make, scaling: dict[str, Any]) -> None:
    scaled = Trainer.from_config(finetune(make, "scaled")).fit()
    assert load_newest(scaled.folder).scaler["scale"] == [2.0**14]  # nine steps
    scaling["amp"] = "off"
    assert_same(scaled, Trainer.from_config(finetune(make)).fit())  # powers of two change no digit


def test_the_scale_is_resumed(make: Make, scaling: dict[str, Any]) -> None:
    whole = Trainer.from_config(finetune(make, "whole")).fit()
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(4)]).fit()  # it ends with the step after that
    state = load_newest(RunFolder(config.output_dir / "job"))
    assert state.scaler["scale"] == [2.0**12]  # after five steps
    assert state.scaler["incr_count"] == 1
    resumed = Trainer.from_config(config).fit(resume=config.output_dir / "job")
    assert_same(whole, resumed)
    scalers = [load_newest(each.folder).scaler for each in (whole, resumed)]
    assert scalers[0] == scalers[1]
    assert scalers[0]["scale"] == [2.0**14]


def test_a_step_that_overflows_is_left_out_and_halves_the_scale(make: Make, scaling: dict[str, Any]) -> None:
    scaling["init_loss_scaling"] = 2.0**127
    scaling["incr_every_n_steps"] = 1000
    result = Trainer.from_config(finetune(make)).fit()
    state = load_newest(result.folder)
    assert state.scaler["scale"][0] < 2.0**127
    assert all(np.isfinite(array).all() for array in weights_of(result.folder).values())
