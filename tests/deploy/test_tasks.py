"""Multilabel and regression, from export to prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from paddle import nn

from toolkit.core.errors import DataError, DeployError
from toolkit.data import ArrayImages, Preprocessing
from toolkit.deploy import Manifest, Prediction, Predictor, check_export, show_examples


class Scaled(nn.Layer):
    """A network with outputs of any scale, and the head's statistics under their usual names."""

    def __init__(self, network: nn.Layer, mean: float, std: float) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Layer()
        self.head.register_buffer("target_mean", paddle.full([4], mean))
        self.head.register_buffer("target_std", paddle.full([4], std))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.network(x) * self.head.target_std + self.head.target_mean


def logits_of(network: nn.Layer, images: np.ndarray) -> np.ndarray:
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(images)).numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, export: Callable[..., Path]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tasks")
    return {task: export(folder / task, task=task) for task in ("multilabel", "regression")}


def test_the_program_ends_with_the_tasks_activation(exported, new_network, images) -> None:
    logits = logits_of(new_network(), images)
    np.testing.assert_allclose(Predictor(exported["multilabel"]).outputs(images), 1 / (1 + np.exp(-logits)), atol=1e-6)
    np.testing.assert_allclose(Predictor(exported["regression"]).outputs(images), logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("task", "activation"), [("multilabel", "sigmoid"), ("regression", "none")])
def test_the_manifest_names_the_task(exported: dict[str, Path], task: str, activation: str) -> None:
    values = yaml.safe_load((exported[task] / "inference.yml").read_text(encoding="utf-8"))
    assert (values["task"], values["output"]["is"]) == (task, activation)
    assert Manifest.read(exported[task]).task == task
    assert Predictor(exported[task]).task == task


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_check_suits_the_task(exported, new_network, images, task: str) -> None:
    assert check_export(exported[task], new_network(), images) < 1e-5
    with pytest.raises(DeployError, match="is not the trained network"):
        check_export(exported[task], new_network(seed=1), images)


@pytest.mark.usefixtures("engines_in_process")
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1e6), (2000.0, 5.0), (0.0, 1e-6)])
def test_values_in_any_unit_pass_their_check(tmp_path, new_network, export, images, mean, std) -> None:
    network = Scaled(new_network(), mean, std)
    folder = export(tmp_path / "model", network, task="regression", check=images)
    assert Manifest.read(folder).extra["largest_difference"] < 1e-4
    network.head.target_mean.set_value(network.head.target_mean + 0.01 * std)
    with pytest.raises(DeployError, match="values, relative to their target's scale, differ"):
        check_export(folder, network, images)


@pytest.mark.usefixtures("engines_in_process")
def test_outputs_that_are_all_zero_can_be_checked(tmp_path, new_network, export, images) -> None:
    network = new_network()
    network.fc.weight.set_value(paddle.zeros_like(network.fc.weight))
    network.fc.bias.set_value(paddle.zeros_like(network.fc.bias))
    export(tmp_path / "model", network, task="regression", check=images)


def test_labels_above_the_threshold_and_the_best_scores(exported, new_network, pictures) -> None:
    predictor = Predictor(exported["multilabel"])
    for threshold in (None, 0.05, 0.95):
        for prediction in predictor.predict(pictures, topk=2, threshold=threshold):
            assert list(prediction.to_dict()) == ["path", "label", "confidence", "scores"]
            assert len(prediction.scores) == 2
            limit = 0.5 if threshold is None else threshold
            assert all(confidence > limit for confidence in prediction.confidence)
            assert prediction.confidence == sorted(prediction.confidence, reverse=True)
            everything = predictor.predict(prediction.path, topk=4)[0].scores
            assert prediction.label == [name for name, score in everything.items() if score > limit]
            assert list(prediction.scores.items()) == list(everything.items())[:2]


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_an_invalid_threshold(exported, pictures, threshold: float) -> None:
    with pytest.raises(DeployError, match="expected a probability"):
        Predictor(exported["multilabel"]).predict(pictures, threshold=threshold)


def test_a_threshold_for_another_task(exported, shared_export, pictures) -> None:
    for folder, task in ((exported["regression"], "regression"), (shared_export, "classification")):
        with pytest.raises(DeployError, match=f"for multilabel models, but this is a {task} model"):
            Predictor(folder).predict(pictures, threshold=0.5)


def test_values_have_the_names_of_their_targets(exported, pictures) -> None:
    predictor = Predictor(exported["regression"])
    found = predictor.predict(pictures, topk=1)
    assert [list(prediction.to_dict()) for prediction in found] == [["path", "values"]] * 5
    assert [tuple(prediction.values) for prediction in found] == [predictor.classes] * 5
    assert all(type(value) is float for prediction in found for value in prediction.values.values())
    assert len({prediction.values["5"] for prediction in found}) == 5


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_nan_is_no_prediction(tmp_path, new_network, export, pictures, task: str) -> None:
    network = new_network()
    network.fc.bias.set_value(np.full(4, np.nan, "float32"))
    with pytest.raises(DeployError, match="gives NaN"):
        Predictor(export(tmp_path / "model", network, task=task)).predict(pictures)


def test_too_few_names(tmp_path, export) -> None:
    for task, word in (("multilabel", "3 label names"), ("regression", "3 target names")):
        with pytest.raises(DeployError, match=word):
            export(tmp_path / task, task=task, classes=("a", "b", "c"))


@pytest.mark.usefixtures("engines_in_process")
@pytest.mark.parametrize(("channels", "color"), [(1, "gray"), (4, "as in the file")])
def test_inputs_with_other_channels(tmp_path, new_network, export, write_image, channels: int, color: str) -> None:
    pipeline = Preprocessing(32, 1.0, (0.4, 0.5, 0.6, 0.1)[:channels], (0.2, 0.25, 0.3, 0.5)[:channels])
    network = new_network(channels=channels)
    images = np.random.default_rng(0).normal(size=(3, channels, 32, 32)).astype("float32")
    folder = export(tmp_path / "model", network, preprocessing=pipeline.to_dict(), check=images)
    values = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    assert (values["input"]["shape"], values["input"]["color"]) == ([-1, channels, 32, 32], color)
    predictor = Predictor(folder)
    assert predictor.channels == channels
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40, channels), dtype="uint8")
    path = tmp_path / "picture.npy"
    np.save(path, pixels)
    (from_file,), (from_memory,) = predictor.predict(path, topk=4), predictor.predict(pixels, topk=4)
    expected = nn.functional.softmax(paddle.to_tensor(logits_of(network, pipeline.apply(pixels)[None])), -1).numpy()[0]
    scores = dict(zip(from_file.label, from_file.confidence, strict=True))
    np.testing.assert_allclose([scores[name] for name in predictor.classes], expected, rtol=1e-4)
    assert from_memory.confidence == from_file.confidence
    with pytest.raises(DeployError, match=rf"expected images \[N, {channels}, 32, 32\]"):
        predictor.outputs(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.usefixtures("engines_in_process")
def test_colour_and_gray_become_what_the_model_reads(tmp_path, new_network, export, pictures) -> None:
    pipeline = Preprocessing(32, 1.0, (0.4,), (0.2,))
    gray = Predictor(export(tmp_path / "gray", new_network(channels=1), preprocessing=pipeline.to_dict()))
    assert len(gray.predict(pictures)) == 5
    flat = np.random.default_rng(1).integers(0, 256, (40, 40), dtype="uint8")
    assert gray.predict(flat)[0].confidence == gray.predict(flat[:, :, None])[0].confidence
    with pytest.raises(DataError, match=r"image 0: expected uint8 \[H, W\], or floats .*, not uint8 \[40, 40, 4\]"):
        gray.predict(np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(DataError, match="four"):
        np.save(tmp_path / "four.npy", np.zeros((40, 40, 4), np.uint8))
        gray.predict(tmp_path / "four.npy")


TRUTHS = {
    "classification": np.array([0, 1, 2]),
    "multilabel": np.array([[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]], np.float32),
    "regression": np.array([[0, 0, 0, 0.1], [1, 2, 3, 4], [1e6, 0, 0, 0]], np.float32),
}


@pytest.mark.parametrize("task", sorted(TRUTHS))
def test_examples_are_shown_with_the_truth(exported, shared_export, task: str) -> None:
    predictor = Predictor(exported.get(task, shared_export))
    images = ArrayImages(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8"), [0, 1, 2], "noise")
    images.labels = TRUTHS[task]
    found, table = show_examples(predictor, images, 2)
    assert [item["path"] for item in found] == ["noise/0000", "noise/0002"]
    first, last = (item["truth"] for item in found)
    names = list(predictor.classes)
    assert (first, last) == {
        "classification": (names[0], names[2]),
        "multilabel": ([], names),
        "regression": ({**dict.fromkeys(names, 0.0), names[3]: 0.1}, {**dict.fromkeys(names, 0.0), names[0]: 1e6}),
    }[task]
    (whole,) = predictor.predict(images.read(2), topk=2, names=["noise/0002"])
    assert {**whole.to_dict(), "truth": last} == found[1]
    assert table.row_count == (8 if task == "regression" else 2)


def test_what_belongs_to_another_task_stays_out_of_json() -> None:
    assert Prediction("x", ["a"], [1.0]).to_dict() == {"path": "x", "label": ["a"], "confidence": [1.0]}
    assert Prediction("x", values={"a": 1.0}, task="regression").to_dict() == {"path": "x", "values": {"a": 1.0}}
