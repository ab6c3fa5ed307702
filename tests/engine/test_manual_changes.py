"""Changes made by hand between ``build_job`` and ``Trainer.fit`` are trained as they are, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.runs.test_resume import Stops
from tests.jobs import THIN, digits_jobs
from toolkit.config import Config, load_config
from toolkit.core.errors import ConfigError, Interrupted, NetworkError, ToolkitError, TrainingError
from toolkit.deploy import Predictor, export_job
from toolkit.engine import Job, RunResult, Trainer, build_job

import paddle  # isort: skip
from paddle import nn  # isort: skip

Make = Callable[..., Config]
STAGES = 9
"""ResNet-18 has a stem, and two blocks in each of four layers."""
WIDTH = 512 // THIN


@pytest.fixture
def make(tmp_path: Path, backbone_weights: Path) -> Make:
    return digits_jobs(
        tmp_path,
        model={"name": "resnet18", "pretrained": str(backbone_weights)},
        data={"classes": ["0", "1", "2"], "samples_per_class": 8, "batch_size": 6, "augment": "none"},
        transfer={"preset": "linear_probe"},
        train={"epochs": 2, "fast_convolutions": False},
        export={"report": False},
    )


def arrays(job: Job) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in job.network.state_dict().items()}


def moved(job: Job, before: dict[str, np.ndarray]) -> set[str]:
    return {key for key, value in arrays(job).items() if not np.array_equal(value, before[key])}


def record_of(result: RunResult) -> dict[str, Any]:
    return json.loads(result.folder.record.read_text(encoding="utf-8"))


def custom_head(outputs: int = 3) -> nn.Layer:
    """A hidden layer with BatchNorm and dropout."""
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.BatchNorm1D(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))


CUSTOM_WEIGHTS = {f"fc.{layer}.{name}" for layer in (0, 1, 4) for name in ("weight", "bias")}


def test_a_custom_head_is_trained_recorded_and_exported(
    make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trainer = Trainer(job := build_job(make()))
    job.network.fc = custom_head()  # changed after the trainer was created
    before = arrays(job)
    result = trainer.fit()
    assert moved(job, before) == CUSTOM_WEIGHTS | {"fc.1._mean", "fc.1._variance"}
    assert "by hand: head: fc is Sequential" in capsys.readouterr().err
    count = WIDTH * 16 + 16 + 32 + 16 * 3 + 3
    assert result.parameters["trainable"] == count
    assert result.parameters["total"] - result.parameters["frozen"] == count
    record = record_of(result)
    assert record["by_hand"] == ["head: fc is Sequential"]
    assert record["trained_proof"] == [{"phase": "head", "arrays_checked": 6, "unmoved": []}]
    assert record["frozen_check"][0]["moved"] == []

    export_job(trainer.job, tmp_path / "exported")
    image = np.full((32, 32, 3), 200, np.uint8)
    job.network.eval()
    logits = job.network(paddle.to_tensor(job.preprocessing.apply(image)[None])).numpy()[0]
    odds = np.exp(logits - logits.max())
    (found,) = Predictor(tmp_path / "exported").predict(image, topk=3)
    expected = odds / odds.sum()
    for label, confidence in zip(found.label, found.confidence, strict=True):
        assert confidence == pytest.approx(expected[job.data.classes.index(label)], abs=1e-4)


def test_a_run_with_a_custom_head_resumes_once_the_head_is_set_again(make: Make) -> None:
    def trainer_of(name: str, *callbacks: paddle.callbacks.Callback) -> Trainer:
        job = build_job(make(name=name))
        paddle.seed(3)
        job.network.fc = custom_head()
        job.network.fc[1].bias.stop_gradient = True
        return Trainer(job, callbacks)

    whole = trainer_of("whole")
    whole.fit()
    with pytest.raises(Interrupted):
        trainer_of("job", Stops(2)).fit()
    folder = make().output_dir / "job"
    with pytest.raises(TrainingError, match=r"another network: \d+ arrays differ.*manual changes"):
        Trainer.from_config(load_config(folder / "config.yaml")).fit(resume=folder)
    again = trainer_of("job")
    again.fit(resume=folder)
    for key, value in arrays(whole.job).items():
        assert np.array_equal(value, arrays(again.job)[key]), key


def nested(network: Any) -> None:
    network.fc = nn.Sequential(nn.Linear(WIDTH, 8), nn.Linear(8, 3))
    network.fc[1] = nn.Sequential(nn.ReLU(), nn.Linear(8, 3))


def wrapped_twice(network: Any) -> None:
    network.fc = nn.Sequential(nn.Sequential(network.fc))


def other_weight(network: Any) -> None:
    network.fc.weight = paddle.create_parameter([WIDTH, 3], "float32")


@pytest.mark.parametrize(
    ("change", "cache", "learn"),
    [
        (nested, True, {"fc.0.weight", "fc.0.bias", "fc.1.1.weight", "fc.1.1.bias"}),
        (wrapped_twice, False, {"fc.0.0.weight", "fc.0.0.bias"}),
        (wrapped_twice, True, {"fc.0.0.weight", "fc.0.0.bias"}),
        (other_weight, True, {"fc.weight", "fc.bias"}),
    ],
)
def test_other_changes_of_a_head(make: Make, change: Callable[[Any], None], cache: bool, learn: set[str]) -> None:
    job = build_job(make(train={"epochs": 1}, cache={"enabled": cache}))
    change(job.network)
    before = arrays(job)
    Trainer(job).fit()
    assert {key for key in moved(job, before) if not key.rpartition(".")[2].startswith("feature_")} == learn


def test_layers_added_to_frozen_stages_learn_and_their_features_are_not_cached(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    job = build_job(make(train={"epochs": 1}))
    last = getattr(job.network.layer4, "1")
    setattr(job.network.layer4, "1", nn.Sequential(last, nn.Conv2D(WIDTH, WIDTH, 1)))
    before = arrays(job)
    result = Trainer(job).fit()
    new = {"layer4.1.1.weight", "layer4.1.1.bias"}
    assert new < moved(job, before) <= new | {"fc.weight", "fc.bias", "fc.feature_mean", "fc.feature_scale"}
    assert result.parameters["trainable"] == WIDTH * WIDTH + WIDTH + WIDTH * 3 + 3
    said = capsys.readouterr().err
    assert "stage layer4.1: layer4.1 is Sequential" in said
    assert "trained with transfer.freeze: 8" in said
    assert load_config(result.folder.config).transfer.freeze == 8


def test_a_changed_layer_does_not_read_features_of_the_original(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    Trainer.from_config(make()).fit()
    job = build_job(make())
    getattr(job.network.layer1, "0").bn1._epsilon = 0.5
    Trainer(job).fit()
    assert "feature cache: off, as layer1.0 was changed by hand" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: setattr(n, "fc", custom_head(4)), r"outputs \[2, 4\] for 2 images, but the data need \[2, 3\]"),
        (lambda n: setattr(n, "fc", nn.Linear(100, 3)), rf"the head gets features \[N, {WIDTH}\]"),
        (lambda n: setattr(n, "fc", nn.Sequential(nn.Linear(WIDTH, 3), nn.Softmax())), "outputs probabilities"),
        (lambda n: setattr(n, "fc", None), "network.fc is gone"),
        (lambda n: setattr(n, "head", nn.Linear(WIDTH, 3)), "network.head was added by hand, but nothing runs it"),
        (
            lambda n: setattr(n, "layer4", nn.Sequential(nn.Conv2D(WIDTH // 2, WIDTH, 1))),
            "held 2 parts: layer4.0, layer4.1",
        ),
        (lambda n: setattr(n, "forward", lambda x: x), "forward was changed by hand"),
        (lambda n: [setattr(p, "stop_gradient", True) for p in n.parameters()], "nothing is left to train"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_created(
    make: Make, change: Callable[[Any], Any], words: str
) -> None:
    job = build_job(make())
    change(job.network)
    with pytest.raises(ToolkitError, match=words):
        Trainer(job).fit()
    assert not (make().output_dir / "job").exists()


def test_a_wrapped_network_is_refused(make: Make) -> None:
    job = build_job(make())
    with pytest.raises(NetworkError, match="a Sequential; a trainer needs the network that build_job made"):
        Trainer(replace(job, network=nn.Sequential(job.network))).fit()


def set_stages(attribute: str, value: bool, stages: range) -> Callable[[Job], None]:
    def change(job: Job) -> None:
        for index in stages:
            for weight in job.network.stage_parameters(index).values():
                setattr(weight, attribute, value)

    return change


@pytest.mark.parametrize(
    ("preset", "change", "frozen"),
    [
        ("linear_probe", lambda job: job.network.freeze(7), 7),
        ("linear_probe", lambda job: job.network.freeze("none"), 0),
        ("linear_probe", set_stages("trainable", True, range(8, STAGES)), 8),
        ("custom", lambda job: job.network.freeze("layer4.0"), 8),
        ("custom", set_stages("stop_gradient", True, range(5)), 5),
    ],
)
def test_freezing_by_hand_changes_the_plan(
    make: Make, preset: str, change: Callable[[Job], Any], frozen: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    transfer = {"preset": preset, **({"freeze": 3} if preset == "custom" else {})}
    job = build_job(make(transfer=transfer, train={"epochs": 1}))
    change(job)
    before = arrays(job)
    trainer = Trainer(job)
    result = trainer.fit()
    weights = {key for index in range(STAGES) for key in job.network.stage_parameters(index)}
    still = {key for index in range(frozen) for key in job.network.stage_state(index)}
    assert moved(job, before) & weights == weights - still
    assert not moved(job, before) & still
    assert f"trained with transfer.freeze: {frozen} " in capsys.readouterr().err
    record = record_of(result)
    assert record["plan"]["phases"][0]["frozen"] == record["frozen_check"][0]["frozen_stages"] == frozen
    assert record["trained_proof"][0]["arrays_checked"] == len(weights - still) + 2
    assert result.parameters["trainable"] == sum(p.size for p in job.network.parameters() if not p.stop_gradient)
    assert load_config(result.folder.config).transfer.freeze == frozen
    assert Trainer(job).fit().parameters == result.parameters  # freezing left over from a run is not a change by hand


def test_freezing_by_hand_that_contradicts_phases_is_refused(make: Make) -> None:
    phases = [{"epochs": 1, "freeze": "all"}, {"epochs": 1, "freeze": 8}]
    job = build_job(make(transfer={"preset": "custom", "phases": phases}))
    job.network.freeze(3)
    with pytest.raises(ConfigError, match=r"3 stages are frozen by hand, but transfer\.phases"):
        Trainer(job).fit()


def test_single_weights_and_batch_norms_stay_frozen_in_all_phases(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    phases = [{"epochs": 1, "freeze": 8}, {"epochs": 1, "freeze": 7}]
    job = build_job(make(transfer={"preset": "custom", "phases": phases, "batch_norm": "train"}))
    block = getattr(job.network.layer4, "1")
    block.bn1.weight.stop_gradient = block.bn1.bias.stop_gradient = True
    block.bn2.eval()
    job.network.fc.bias.trainable = False
    before = arrays(job)
    result = Trainer(job).fit()
    still = {f"layer4.1.bn1.{name}" for name in ("weight", "bias", "_mean", "_variance")} | {"fc.bias"}
    still |= {"layer4.1.bn2._mean", "layer4.1.bn2._variance"}
    there = {*job.network.stage_state(7), *job.network.stage_state(8), "fc.weight", "fc.bias"}
    assert moved(job, before) & there == there - still
    said = capsys.readouterr().err
    assert "by hand: 3 weights stay frozen: fc.bias, layer4.1.bn1.bias, layer4.1.bn1.weight" in said
    assert "by hand: layer4.1.bn2 stays in evaluation mode" in said
    whole = sum(p.size for i in (7, 8) for p in job.network.stage_parameters(i).values()) + WIDTH * 3 + 3
    assert result.parameters["trainable"] == whole - WIDTH * 2 - 3
    first, second = record_of(result)["frozen_check"]
    assert (first["moved"], second["moved"]) == ([], [])
    assert second["arrays_checked"] == sum(len(job.network.stage_state(i)) for i in range(7)) + len(still)


class Does(paddle.callbacks.Callback):
    """Changes the network in one hook."""

    def __init__(self, hook: str, change: Callable[[Any], Any]) -> None:
        super().__init__()
        setattr(self, hook, lambda *args: change(self.model.network))


def unfreeze(network: Any) -> None:
    getattr(network.layer4, "1").conv1.weight.stop_gradient = False


@pytest.mark.parametrize(
    ("hook", "change", "words"),
    [
        ("on_train_begin", lambda n: n.freeze(2), r"a callback called freeze\(2\) in a phase that freezes 9"),
        ("on_epoch_end", unfreeze, "a callback unfroze layer4.1"),
        ("on_train_batch_end", lambda n: setattr(n, "fc", nn.Linear(WIDTH, 3)), "other layers or weights"),
    ],
)
def test_callbacks_that_change_what_is_trained_are_refused(
    make: Make, hook: str, change: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(TrainingError, match=words):
        Trainer(build_job(make()), [Does(hook, change)]).fit()


def test_what_a_callback_freezes_stays_frozen(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    job = build_job(make())
    bias = job.network.fc.bias
    freezes = Does("on_epoch_begin", lambda network: setattr(bias, "stop_gradient", True))
    Trainer(job, [freezes]).fit()
    assert not bias.numpy().any()
    assert "a callback keeps fc.bias as it is from here on" in capsys.readouterr().err


def test_a_run_in_which_nothing_moves_is_an_error(make: Make) -> None:
    job = build_job(make(train={"weight_decay": 0.0}))
    for weight in job.network.fc.parameters():
        weight.register_hook(lambda gradient: gradient * 0)
    with pytest.raises(TrainingError, match="nothing was trained in phase head: all 2 arrays"):
        Trainer(job).fit()


def test_weights_that_did_not_move_are_named(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    class Lazy(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(WIDTH, 3), nn.Linear(WIDTH, 3)

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            return self.used(x)

    job = build_job(make())
    job.network.fc = Lazy()
    result = Trainer(job).fit()
    said = "2 of 4 arrays that should learn did not move in phase head: fc.unused.bias, fc.unused.weight"
    assert said in capsys.readouterr().err
    assert record_of(result)["trained_proof"][0]["unmoved"] == ["fc.unused.bias", "fc.unused.weight"]


def test_the_exact_solver_refuses_heads_it_cannot_solve(make: Make) -> None:
    job = build_job(make(train={"solver": "exact", "epochs": None}))
    job.network.fc = custom_head()
    with pytest.raises(NetworkError, match="the exact solver fits linear heads"):
        Trainer(job).fit()
    job = build_job(make(train={"solver": "exact", "epochs": None}))
    job.network.fc.bias.stop_gradient = True
    with pytest.raises(ConfigError, match=r"computes the whole head, but fc\.bias is frozen by hand"):
        Trainer(job).fit()


def test_a_learning_rate_search_works_with_a_custom_head(make: Make) -> None:
    job = build_job(make(train={"lr": "auto", "epochs": 1}, data={"samples_per_class": 30}))
    job.network.fc = custom_head()
    before = arrays(job)
    Trainer(job).fit()
    assert moved(job, before) >= CUSTOM_WEIGHTS
