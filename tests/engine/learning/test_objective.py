"""Losses, weights of classes and images, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from sklearn.utils.class_weight import compute_class_weight

from toolkit.core.errors import ConfigError
from toolkit.data import ArrayImages, DataBundle
from toolkit.engine.learning.class_weights import class_weights
from toolkit.engine.learning.losses import binary_cross_entropy, binary_focal, cross_entropy, focal
from toolkit.engine.learning.objective import ClassificationObjective, make_objective
from toolkit.tasks import sigmoid, softmax

RNG = np.random.default_rng(0)
LOGITS = (3 * RNG.standard_normal((37, 4))).astype(np.float32)
NUMBERS = RNG.integers(0, 4, 37)
FLAGS = RNG.integers(0, 2, (37, 4)).astype(np.float32)
WEIGHTS = RNG.random(37).astype(np.float32)
HOT = np.eye(4, dtype=np.float32)[NUMBERS]
LOG_P = np.log(softmax(LOGITS.astype(np.float64)))
LABELS = {"classification": NUMBERS, "multilabel": FLAGS, "regression": FLAGS * 3}


def tensors(*arrays: Any) -> list[paddle.Tensor]:
    return [paddle.to_tensor(array) for array in arrays]


def value(tensor: paddle.Tensor) -> float:
    return float(tensor.item())


@pytest.mark.parametrize("task", LABELS)
def test_weights_of_ones_give_the_plain_mean_to_the_bit(task: Any) -> None:
    for count in (1, 5, 32, 37):
        outputs, labels, ones = tensors(LOGITS[:count], LABELS[task][:count], np.ones(count, np.float32))
        objective = make_objective(task)
        assert value(objective(outputs, labels, ones) / count) == value(objective(outputs, labels))
        assert objective.weights(LABELS[task][:count], np.arange(count)).tolist() == [1.0] * count
        assert not objective.is_weighted


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_cross_entropy_is_that_of_numpy(smoothing: float) -> None:
    by_class = np.array([0.5, 1, 2, 4], np.float32)
    objective = make_objective(
        "classification", label_smoothing=smoothing, class_weights=by_class, image_weights=np.r_[WEIGHTS, 99]
    )
    weights = objective.weights(NUMBERS, np.arange(37))
    assert weights.dtype == np.float32
    assert weights == pytest.approx(by_class[NUMBERS] * WEIGHTS)
    shares = HOT * (1 - smoothing) + smoothing / 4
    expected = (weights * -(shares * LOG_P).sum(axis=1)).sum()
    assert value(objective(*tensors(LOGITS, NUMBERS, weights))) == pytest.approx(expected, rel=1e-5)
    assert objective.weights(HOT, np.arange(37)) == pytest.approx(weights)
    assert value(objective(*tensors(LOGITS, HOT, weights))) == pytest.approx(expected, rel=1e-5)


def test_parts_of_a_batch_add_up() -> None:
    objective = ClassificationObjective()
    parts = [objective(*tensors(LOGITS[i::3], NUMBERS[i::3], WEIGHTS[i::3])) for i in range(3)]
    assert sum(map(value, parts)) == pytest.approx(value(objective(*tensors(LOGITS, NUMBERS, WEIGHTS))), rel=1e-6)


def test_auxiliary_losses_are_weighted_like_the_main_one() -> None:
    objective = ClassificationObjective(lambda: (0.3,))
    outputs, other, labels, weights = tensors(LOGITS, LOGITS[::-1].copy(), NUMBERS, WEIGHTS)
    plain = ClassificationObjective()
    expected = value(plain(outputs, labels, weights)) + 0.3 * value(plain(other, labels, weights))
    assert value(objective(outputs, other, labels, weights)) == pytest.approx(expected, rel=1e-5)
    assert value(objective(outputs, labels, weights)) == pytest.approx(value(plain(outputs, labels, weights)))


@pytest.mark.parametrize("labels", [NUMBERS, HOT], ids=["numbers", "shares"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_loss(labels: Any, smoothing: float) -> None:
    outputs, given = tensors(LOGITS, labels)
    plain = cross_entropy(outputs, given, smoothing)
    assert focal(outputs, given, 0.0, smoothing).numpy().tolist() == plain.numpy().tolist()
    assert focal(outputs, given, 1e-6, smoothing).numpy() == pytest.approx(plain.numpy(), rel=1e-4)
    shares = HOT * (1 - smoothing) + smoothing / 4
    expected = -(shares * (1 - np.exp(LOG_P)) ** 2 * LOG_P).sum(axis=1)
    assert focal(outputs, given, 2.0, smoothing).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_focal_loss_of_labels() -> None:
    outputs, given, positive = tensors(LOGITS, FLAGS, np.array([1, 2, 3, 4], np.float32))
    plain = binary_cross_entropy(outputs, given, positive).numpy()
    assert binary_focal(outputs, given, 0.0, positive).numpy().tolist() == plain.tolist()
    p = sigmoid(LOGITS)
    yes, no = (-FLAGS * np.log(p) * [1, 2, 3, 4]), -(1 - FLAGS) * np.log1p(-p)
    assert plain == pytest.approx((yes + no).mean(axis=1), rel=1e-4)
    expected = ((1 - p) ** 2 * yes + p**2 * no).mean(axis=1)
    assert binary_focal(outputs, given, 2.0, positive).numpy() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradients_stay_finite_where_the_network_is_sure(gamma: float) -> None:
    sure = paddle.to_tensor([[200.0, -200.0], [0.0, 0.0], [-200.0, 200.0]], stop_gradient=False)
    rows = paddle.to_tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    for loss in (focal(sure, paddle.to_tensor([0, 0, 0]), gamma), binary_focal(sure, rows, gamma)):
        assert np.isfinite(loss.numpy()).all()
        (gradient,) = paddle.grad([loss.sum()], [sure])
        assert np.isfinite(gradient.numpy()).all()
        assert abs(gradient.numpy()).sum() > 0


def test_training_accuracy_of_mixed_labels_is_the_share_of_the_prediction() -> None:
    shares = np.array([[0.7, 0.3], [0.2, 0.8], [1.0, 0.0]], np.float32)
    logits = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    (accuracy,) = make_objective("classification").running()
    outputs, mixed, numbers, weights = tensors(logits, shares, np.array([0, 1, 0]), np.ones(3, np.float32))
    for inputs, expected in (
        ((outputs, mixed), [0.7, 0.2, 1.0]),
        ((outputs, outputs, mixed, weights), [0.7, 0.2, 1.0]),
        ((outputs, numbers), [1, 0, 1]),
        ((outputs, outputs, numbers, weights), [1, 0, 1]),
    ):
        right = np.asarray(accuracy.compute(*inputs))
        assert right == pytest.approx(np.array(expected)[:, None])
        assert accuracy.update(right) == pytest.approx(np.mean(expected))


def bundle(labels: Any, task: Any = "classification") -> DataBundle:
    images = ArrayImages(np.zeros((len(labels), 2, 2, 3), np.uint8), labels, "blank")
    return DataBundle(images, images, None, ("a", "b", "c"), task=task)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [124, 500, 376])
    found = class_weights("balanced", 0.999, bundle(labels))
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels))
    assert class_weights(None, 0.999, bundle(labels)) is None


def test_effective_numbers() -> None:
    data = bundle(np.repeat([0, 1, 2], [10, 100, 1000]))
    found = class_weights("effective", 0.99, data)
    assert found is not None
    expected = 0.01 / (1 - 0.99 ** np.array([10, 100, 1000]))
    assert found == pytest.approx(3 * expected / expected.sum(), rel=1e-5)
    assert class_weights("effective", 0.0, data) == pytest.approx([1, 1, 1])
    balanced = class_weights("balanced", 0.0, data)
    assert balanced is not None
    near = class_weights("effective", 1 - 1e-8, data)
    assert near == pytest.approx(3 * balanced / balanced.sum(), rel=1e-3)


@pytest.mark.parametrize("task", LABELS)
def test_images_of_an_evaluation_count_alike(task: Any) -> None:
    """Whatever training does with weights, smoothing and sure images."""
    classes = (
        {"class_weights": np.array([0.5, 1, 2, 4], np.float32), "focal_gamma": 2.0} if task != "regression" else {}
    )
    smoothing = {"label_smoothing": 0.1} if task == "classification" else {}
    objective = make_objective(task, image_weights=WEIGHTS, **classes, **smoothing)
    assert objective.metrics(LOGITS, LABELS[task]) == make_objective(task).metrics(LOGITS, LABELS[task])


def test_positive_weights_of_labels() -> None:
    rows = np.zeros((10, 3), np.float32)
    rows[:2, 0], rows[:, 1] = 1, 1
    data = bundle(rows, "multilabel")
    assert class_weights("balanced", 0.999, data) == pytest.approx([4, 1, 1])
    assert class_weights("effective", 0.5, data) == pytest.approx([(1 - 0.5**8) / (1 - 0.5**2), 1, 1])
    objective = make_objective("multilabel", class_weights=class_weights({"c": 5.0}, 0.999, data))
    loss = objective.sample_losses(*tensors(np.zeros((2, 3), np.float32), np.eye(3, dtype=np.float32)[1:]))
    assert loss.numpy() == pytest.approx(np.array([3, 7]) * np.log(2) / 3, rel=1e-5)
    assert not objective.is_weighted


def test_given_weights_and_unknown_classes() -> None:
    data = bundle(np.arange(3))
    assert class_weights({"c": 2.5}, 0.999, data) == pytest.approx([1, 1, 2.5])
    with pytest.raises(ConfigError, match=r"train\.class_weights: the data have no 'd'"):
        class_weights({"d": 2.0}, 0.999, data)


def test_a_class_without_training_images_weighs_one() -> None:
    for wanted in ("balanced", "effective"):
        found = class_weights(wanted, 0.999, bundle(np.array([0, 0, 1])))
        assert found is not None
        assert np.isfinite(found).all()
        assert (found > 0).all()
