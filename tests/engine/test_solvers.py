"""Heads without gradient descent: exact linear heads, their place in a network, and nearest neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

from toolkit.cache import FeatureStore
from toolkit.config import HeadConfig, make_config
from toolkit.core.errors import NetworkError, TrainingError
from toolkit.data import Preprocessing
from toolkit.deploy import Predictor, export_model
from toolkit.engine import Trainer, build_job
from toolkit.engine.learning.objective import make_objective
from toolkit.engine.solvers import (
    LinearSolution,
    StackedViews,
    check_exact_solver,
    fit_linear_head,
    install_linear_solution,
    knn_baseline,
)
from toolkit.engine.solvers import neighbours as neighbours_module
from toolkit.engine.solvers import rows as rows_module
from toolkit.engine.solvers.folds import folds_of
from toolkit.engine.solvers.rows import Scaling
from toolkit.tasks import TASKS, TaskName, sigmoid, softmax
from toolkit.zoo import StagedNetwork, create_network

Sets = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
OUTPUTS = 3
ACTIVATIONS = {"softmax": softmax, "sigmoid": sigmoid, "none": lambda x: x}


def labels_for(task: TaskName, scores: NDArray[np.float64]) -> NDArray[Any]:
    if task == "classification":
        return scores.argmax(axis=1)
    return (scores > 0.3).astype(np.float32) if task == "multilabel" else (scores * [1, 50, 1e3] + 7).astype(np.float32)


def make_sets(task: TaskName, train: int = 80, val: int = 60, width: int = 12, noise: float = 1.0) -> Sets:
    """Features of different scales, and labels that depend on them and on chance."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(train + val, width))
    scores = x @ generator.normal(size=(width, OUTPUTS)) + noise * generator.normal(size=(train + val, OUTPUTS))
    features = (x * np.logspace(-0.3, 0.3, width) + np.linspace(-5, 5, width)).astype(np.float32)
    labels = labels_for(task, scores)
    return features[:train], labels[:train], features[train:], labels[train:]


def fit(task: TaskName, sets: Sets, **options: Any) -> LinearSolution:
    return fit_linear_head(*sets, task, num_classes=OUTPUTS, **options)


def standardised(x: NDArray[Any]) -> NDArray[np.float64]:
    x = x.astype(np.float64)
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0).mean())


# The optimum


def test_classification_is_the_optimum_of_the_penalised_cross_entropy() -> None:
    sets = make_sets("classification")
    solution = fit("classification", sets, grid=(2.0,))
    model = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(standardised(sets[0]), sets[1])
    expected = model.decision_function(standardised(sets[0]))
    found = solution.outputs(sets[0])
    np.testing.assert_allclose(softmax(found), softmax(expected), atol=2e-4)
    assert solution.regularisation == 2.0
    assert [trial.converged for trial in solution.trials] == [True]


def test_two_classes_have_the_same_objective_as_more() -> None:
    """A softmax over two classes, minimised by another library: the penalty means the same for any number of them."""
    features, labels, *val = make_sets("classification")
    labels = np.minimum(labels, 1)
    solution = fit_linear_head(
        features, labels, val[0], np.minimum(val[1], 1), "classification", num_classes=2, grid=(5.0,)
    )
    x = standardised(features)

    def objective(flat: NDArray[np.float64]) -> float:
        weight, bias = flat[:-2].reshape(-1, 2), flat[-2:]
        logits = x @ weight + bias
        losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(x)), labels]
        return float(losses.sum() + 5.0 / 2 * (weight**2).sum())

    best = minimize(objective, np.zeros(2 * x.shape[1] + 2), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-7})
    expected = softmax(x @ best.x[:-2].reshape(-1, 2) + best.x[-2:])
    np.testing.assert_allclose(softmax(solution.outputs(features)), expected, atol=5e-4)


def test_multilabel_is_one_logistic_regression_a_label() -> None:
    sets = make_sets("multilabel")
    found = fit("multilabel", sets, grid=(1.0,)).outputs(sets[0])
    for label in range(OUTPUTS):
        model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(standardised(sets[0]), sets[1][:, label])
        expected = model.decision_function(standardised(sets[0]))
        np.testing.assert_allclose(sigmoid(found[:, label]), sigmoid(expected), atol=2e-4)


@pytest.mark.parametrize("train", [8, 80], ids=["fewer rows than features", "more"])
def test_regression_is_ridge_in_the_targets_units(train: int) -> None:
    sets = make_sets("regression", train=train)
    solution = fit("regression", sets, grid=(3.0,))
    x, y = standardised(sets[0]), sets[1].astype(np.float64)
    expected = Ridge(alpha=3.0).fit(x, (y - y.mean(axis=0)) / y.std(axis=0)).predict(x) * y.std(axis=0) + y.mean(axis=0)
    np.testing.assert_allclose(solution.outputs(sets[0]) / y.std(axis=0), expected / y.std(axis=0), atol=1e-4)


# The choice


@pytest.mark.parametrize("task", list(TASKS))
def test_the_best_value_is_chosen_and_all_are_reported(task: TaskName) -> None:
    sets = make_sets(task)
    solution = fit(task, sets)
    strengths = [trial.regularisation for trial in solution.trials]
    assert strengths == sorted(strengths, reverse=True)
    assert set(strengths) >= {1e5, 1e4, 1e3, 1e2, 1e1, 1.0, 1e-1}
    assert solution.best is min(solution.trials, key=lambda trial: (trial.held_out, -trial.regularisation))
    assert solution.to_json()["chosen_by"] == "cross-validation"
    assert 0 < strengths.index(solution.regularisation) < len(strengths) - 1
    assert list(solution.best.val) == list(solution.best.train) == [metric.name for metric in TASKS[task].metrics]
    assert solution.table().row_count == len(strengths)
    assert solution.to_json()["trials"][0]["val"] == solution.trials[0].val
    losses = [trial.train["loss"] for trial in solution.trials]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("task", list(TASKS))
def test_solutions_are_deterministic(task: TaskName) -> None:
    first, second = (fit(task, make_sets(task)) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)
    assert first.trials == second.trials


def test_validation_images_choose_nothing() -> None:
    features, labels, val_features, val_labels = make_sets("classification")
    one = fit("classification", (features, labels, val_features, val_labels))
    other = fit("classification", (features, labels, val_features[:5], (val_labels[:5] + 1) % OUTPUTS))
    assert one.regularisation == other.regularisation
    assert np.array_equal(one.weight, other.weight)


@pytest.mark.parametrize("task", list(TASKS))
def test_views_of_an_image_are_held_out_together(task: TaskName) -> None:
    """Labels that nothing explains: only a leak would make a weak penalty look good."""
    features, labels, *val = make_sets(task, train=40, width=60, noise=1e3)
    rows, twice = StackedViews([features, features]), np.concatenate([labels, labels])
    apart = fit_linear_head(rows, twice, *val, task, num_classes=OUTPUTS, views=2)
    leaking = fit_linear_head(rows, twice, *val, task, num_classes=OUTPUTS, views=1)
    assert apart.regularisation > 10 * leaking.regularisation


def test_too_few_images_are_chosen_by_validation() -> None:
    features, labels, val_features, val_labels = make_sets("classification")
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(OUTPUTS)]
    solution = fit("classification", (features[first], labels[first], val_features, val_labels))
    best = max(solution.trials, key=lambda trial: (trial.val["top1"], -trial.val["loss"], trial.regularisation))
    assert solution.best is best
    assert solution.best.held_out is None
    assert any("too few training images" in note for note in solution.notes)


def test_folds_spread_each_class_and_keep_single_images() -> None:
    labels = np.repeat([0, 1, 2, 3], [11, 5, 2, 1])
    parts = folds_of(labels, "classification")
    assert len(parts) == 5
    assert sorted(np.concatenate(parts)) == list(range(18))
    for part in parts:
        assert (np.bincount(np.delete(labels, part), minlength=4) >= 1).all()
    assert folds_of(np.zeros(9, int), "classification") == []
    assert len(folds_of(np.zeros((3, 2)), "regression")) == 2
    assert folds_of(np.zeros((1, 2)), "regression") == []


def test_the_grid_grows_where_the_best_is_at_its_end() -> None:
    sets = make_sets("regression", noise=0.01)
    weak = fit("regression", sets, grid=(1e4, 1e3))
    assert [trial.regularisation for trial in weak.trials] == pytest.approx([1e4, 1e3, 1e2, 1e1, 10**0.5, 1.0])
    noise = make_sets("regression", noise=300.0)
    strong = fit("regression", noise, grid=(1e-2, 1e-3))
    assert strong.trials[0].regularisation == pytest.approx(10.0)
    assert len(strong.trials) == 6
    assert len(fit("regression", sets, grid=(1e4,)).trials) == 1


def test_equal_values_are_decided_by_loss() -> None:
    """Classes that any strength tells apart: the metric is 1 everywhere, and the weakest value has the lowest loss."""
    features = np.repeat(np.eye(OUTPUTS, dtype=np.float32), 4, axis=0)
    labels = np.repeat(np.arange(OUTPUTS), 4)
    solution = fit("classification", (features, labels, features, labels), grid=(100.0, 10.0, 1.0))
    assert {trial.val["top1"] for trial in solution.trials} == {1.0}
    assert solution.best is solution.trials[-1]


def test_values_between_the_best_and_its_neighbours_are_tried() -> None:
    solution = fit("regression", make_sets("regression", noise=10.0), grid=(1e4, 1e2, 1.0, 1e-2))
    tried = {round(float(np.log10(trial.regularisation)), 6) for trial in solution.trials} - {4.0, 2.0, 0.0, -2.0}
    assert len(tried) == 2
    assert tried in ({3.0, 1.0}, {1.0, -1.0})


# Labels and features out of the ordinary


def test_classes_without_images_are_never_predicted() -> None:
    features, labels, val_features, val_labels = make_sets("classification")
    solution = fit_linear_head(features, labels, val_features, val_labels, "classification", num_classes=5)
    outputs = solution.outputs(np.concatenate([features, val_features]))
    assert outputs.shape[1] == 5
    assert outputs.argmax(axis=1).max() < OUTPUTS
    assert softmax(outputs)[: len(features), 3:].max() <= 0.5 / len(features) + 1e-6
    assert any("2 of 5 classes" in note for note in solution.notes)


def test_one_class_and_constant_labels_give_constants() -> None:
    features, labels, val_features, val_labels = make_sets("classification")
    alone = fit("classification", (features, np.full_like(labels, 2), val_features, val_labels))
    assert not alone.weight.any()
    assert set(alone.outputs(val_features).argmax(axis=1)) == {2}
    features, labels, val_features, val_labels = make_sets("multilabel")
    labels[:, 0], labels[:, 1] = 0, 1
    solution = fit("multilabel", (features, labels, val_features, val_labels))
    assert not solution.weight[:, :2].any()
    assert sigmoid(solution.bias[:2]) == pytest.approx([0.5 / 81, 80.5 / 81], rel=1e-5)
    assert any("2 of 3 labels" in note for note in solution.notes)


def test_constant_features_get_no_weight() -> None:
    features, labels, val_features, val_labels = make_sets("regression")
    features[:, 0], features[:, 1] = 7.0, 0.0
    solution = fit("regression", (features, labels, val_features, val_labels))
    assert not solution.weight[:2].any()
    assert np.isfinite(solution.bias).all()


@pytest.mark.parametrize("task", list(TASKS))
def test_chunks_and_half_precision_change_nothing(
    task: TaskName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sets = make_sets(task)
    half = sets[0].astype(np.float16)
    whole = fit(task, (half.astype(np.float32), *sets[1:]))
    neighbours = knn_baseline(half.astype(np.float32), *sets[1:], task, num_classes=OUTPUTS)
    np.save(tmp_path / "rows.npy", half)
    monkeypatch.setattr(rows_module, "_CHUNK", 100)
    mapped = (np.load(tmp_path / "rows.npy", mmap_mode="r"), *sets[1:])
    parts = fit(task, mapped)
    assert parts.regularisation == whole.regularisation
    spread = whole.outputs(sets[2]).std(axis=0)
    np.testing.assert_allclose(parts.outputs(sets[2]) / spread, whole.outputs(sets[2]) / spread, atol=1e-3)
    for k, metrics in knn_baseline(*mapped, task, num_classes=OUTPUTS).items():
        assert metrics == pytest.approx(neighbours[k], rel=1e-5)


def test_rows_of_the_feature_cache_are_read_as_they_are(tmp_path: Path) -> None:
    sets = make_sets("classification")
    entry = FeatureStore(tmp_path / "cache", shard_bytes=1000).entry({"network": "some"})
    with entry.writing(len(sets[0]), sets[0].shape[1:], "float32") as writer:
        writer.append(sets[0])
    with entry.open() as rows:
        found = fit("classification", (rows, *sets[1:]))
        near = knn_baseline(rows, *sets[1:], "classification", num_classes=OUTPUTS)
    assert np.array_equal(found.weight, fit("classification", sets).weight)
    assert near == knn_baseline(*sets, "classification", num_classes=OUTPUTS)


def test_views_are_rows_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CHUNK", 12 * 50)  # chunks that begin in one view and end in the next
    features, labels, *val = make_sets("regression")
    views = StackedViews([features, features + 1, features * 2])
    whole = np.concatenate([features, features + 1, features * 2])
    assert np.array_equal(views[np.array([200, 0, 85])], whole[[200, 0, 85]])
    tiled = np.tile(labels, (3, 1))
    found, expected = (fit("regression", (rows, tiled, *val)) for rows in (views, whole))
    assert np.array_equal(found.weight, expected.weight)
    with pytest.raises(ValueError, match="views differ"):
        StackedViews([features, features[1:]])


def test_an_optimum_that_is_not_reached_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.solvers.fitters._MAX_STEPS", 2)
    solution = fit("classification", make_sets("classification"))
    assert not all(trial.converged for trial in solution.trials)
    assert any("optimum not reached" in note for note in solution.notes)


def test_bad_input_is_refused() -> None:
    features, labels, val_features, val_labels = make_sets("classification")
    broken = features.copy()
    broken[5, 3] = np.nan
    for function in (fit_linear_head, knn_baseline):
        with pytest.raises(TrainingError, match="NaN"):
            function(broken, labels, val_features, val_labels, "classification", num_classes=OUTPUTS)
        with pytest.raises(TrainingError, match="no validation images"):
            function(features, labels, val_features[:0], val_labels[:0], "classification", num_classes=OUTPUTS)
        with pytest.raises(ValueError, match="training images"):
            function(features, labels[1:], val_features, val_labels, "classification", num_classes=OUTPUTS)
    with pytest.raises(ValueError, match="above 0"):
        fit("classification", (features, labels, val_features, val_labels), grid=(1.0, 0.0))
    with pytest.raises(ValueError, match="above 0"):
        knn_baseline(features, labels, val_features, val_labels, "classification", num_classes=OUTPUTS, k=(0,))


def test_a_request_to_stop_is_heard_between_fits() -> None:
    calls: list[int] = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit("multilabel", make_sets("multilabel"), after_fit=stop)


# Features of several stages

PIECES = (5, 7)


@pytest.mark.parametrize("task", list(TASKS))
def test_the_scale_of_a_stage_does_not_matter(task: TaskName) -> None:
    sets = make_sets(task)
    plain = fit(task, sets, pieces=PIECES)
    factors = np.repeat([1e-5, 300.0], PIECES).astype(np.float32)
    other = fit(task, (sets[0] * factors, sets[1], sets[2] * factors, sets[3]), pieces=PIECES)
    assert other.regularisation == plain.regularisation
    scale = np.abs(plain.outputs(sets[2])).max(axis=0)
    np.testing.assert_allclose(other.outputs(sets[2] * factors) / scale, plain.outputs(sets[2]) / scale, atol=2e-3)
    np.testing.assert_array_equal(fit(task, sets, pieces=(12,)).weight, fit(task, sets).weight)


def test_stages_are_scaled_to_the_same_total_variance() -> None:
    rows = make_sets("classification")[0] * np.repeat([1e-4, 10.0], PIECES).astype(np.float32)
    rows[:, 6] = 3.0  # constant
    scaled = Scaling.of(rows, PIECES).apply(rows)
    totals = [piece.var(axis=0).sum() for piece in np.split(scaled, [5], axis=1)]
    assert totals == pytest.approx([5.5, 5.5], rel=1e-4)
    assert not scaled[:, 6].any()
    for pieces in ((), (12,)):
        np.testing.assert_array_equal(Scaling.of(rows, pieces).std, Scaling.of(rows).std)


# In a network


def frozen_network(task: TaskName, **options: Any) -> StagedNetwork:
    paddle.seed(5)
    network = create_network("squeezenet1_1", OUTPUTS, image_size=64, task=task, **options)
    network.freeze(len(network.stage_names))
    network.eval()
    return network


def pooled(network: StagedNetwork, images: NDArray[np.float32]) -> NDArray[np.float32]:
    with paddle.no_grad():
        features = network.features(paddle.to_tensor(images), len(network.stage_names))
        return network.pool(features).numpy()


@pytest.mark.parametrize("task", list(TASKS))
def test_network_and_export_compute_what_the_solver_found(task: TaskName, tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(24, 3, 64, 64)).astype(np.float32)
    network = frozen_network(task)
    if task == "regression":
        network.set_target_statistics([7, 8, 9], [1, 50, 1000])
    network.set_feature_statistics(np.ones(network.feature_width), 3.0)  # of an earlier phase
    features = pooled(network, images)
    labels = labels_for(task, np.random.default_rng(1).normal(size=(24, OUTPUTS)))
    solution = fit(task, (features[:16], labels[:16], features[16:], labels[16:]), grid=(100.0, 10.0))
    check_exact_solver(network)
    install_linear_solution(network, solution)
    expected = solution.outputs(features)
    scale = np.maximum(np.abs(expected).max(axis=0), 1.0)
    with paddle.no_grad():
        np.testing.assert_allclose(network(paddle.to_tensor(images)).numpy() / scale, expected / scale, atol=1e-5)
        with network.starting_at(len(network.stage_names)):
            np.testing.assert_allclose(network(paddle.to_tensor(features)).numpy() / scale, expected / scale, atol=1e-5)
    preprocessing = Preprocessing(64, 1.0, (0.5,) * 3, (0.5,) * 3)
    folder = export_model(
        network,
        tmp_path / "model",
        classes=("a", "b", "c"),
        preprocessing=preprocessing.to_dict(),
        network_name="squeezenet1_1",
        image_size=64,
        check=images[:4],
        task=task,
    )
    served = Predictor(folder, device="cpu").outputs(images)
    wanted = ACTIVATIONS[TASKS[task].activation](expected)
    scale = np.maximum(np.abs(wanted).max(axis=0), 1.0)
    np.testing.assert_allclose(served / scale, wanted / scale, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "frozen", "words"),
    [
        ({"head": HeadConfig(type="mlp", hidden=(4,))}, True, r"linear heads.*model.head.type: linear"),
        ({"head": HeadConfig(type="cosine")}, True, r"linear heads.*model.head.type: linear"),
        ({"pooling": "gem"}, True, r"model.pooling is gem.*avg or max"),
        ({"pooling": "none"}, True, r"model.pooling is none.*avg or max"),
        ({}, False, r"stages of squeezenet1_1 move.*train.solver: sgd"),
    ],
    ids=["mlp", "cosine", "gem", "none", "not frozen"],
)
def test_other_networks_are_refused_with_a_remedy(options: dict[str, Any], frozen: bool, words: str) -> None:
    network = frozen_network("classification", **options)
    if not frozen:
        check_exact_solver(network)
        network.freeze(3)
    with pytest.raises(NetworkError, match=words):
        check_exact_solver(network)
    solution = fit("classification", make_sets("classification"))
    with pytest.raises(NetworkError, match=words):
        install_linear_solution(network, solution)


def test_a_solution_for_another_network_is_refused() -> None:
    network = frozen_network("classification")
    before = {key: value.numpy().copy() for key, value in network.head_parameters().items()}
    with pytest.raises(NetworkError, match="does not fit squeezenet1_1"):
        install_linear_solution(network, fit("classification", make_sets("classification")))
    with pytest.raises(NetworkError, match="does not fit squeezenet1_1"):
        install_linear_solution(
            network, fit("regression", make_sets("regression", width=512))
        )  # SqueezeNet's width: the task differs
    for key, value in network.head_parameters().items():
        assert np.array_equal(value.numpy(), before[key])


# Nearest neighbours


def test_neighbours_vote_with_their_similarity() -> None:
    known = np.array([[1, 0], [0.6, 0.8], [0.6, 0.8], [-1, 0]], np.float32)
    labels = np.array([0, 1, 1, 1])
    asked, true = np.array([[3, 0], [1, 1]], np.float32), np.array([0, 1])
    found = knn_baseline(known, labels, asked, true, "classification", num_classes=2, k=(1, 3, 9))
    assert list(found) == [1, 3, 9]
    assert found[1]["top1"] == 1.0
    assert found[3]["top1"] == 1.0  # 1 at cosine 1 against 2 at cosine 0.6: the near one has more weight
    plain = knn_baseline(known, labels, asked, true, "classification", num_classes=2, k=(3,), temperature=1e6)
    assert plain[3]["top1"] == 0.5  # a majority
    assert found[1]["loss"] == pytest.approx(-np.log((1 + 0.5) / 2), rel=1e-6)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_neighbours_are_those_of_the_whole_matrix(task: TaskName, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in chunks of 7 images, and with labels as rows of a table, as the definition says."""
    features, labels, val_features, val_labels = make_sets(task)
    monkeypatch.setattr(rows_module, "_CHUNK", 7 * features.shape[1])
    monkeypatch.setattr(neighbours_module, "_BLOCK", block)
    table = np.eye(OUTPUTS)[labels] if task == "classification" else labels.astype(np.float64)
    known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, val_features))
    cosines = asked @ known.T
    found = knn_baseline(features, labels, val_features, val_labels, task, num_classes=OUTPUTS, k=(1, 5, 20, 99))
    for k, metrics in found.items():
        near = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        votes = np.exp(np.take_along_axis(cosines, near, axis=1).astype(np.float64) / 0.07)
        votes = np.full_like(votes, 1.0) if task == "regression" else votes
        share = np.einsum("mk,mkc->mc", votes / votes.sum(axis=1, keepdims=True), table[near])
        outputs, count = share, near.shape[1]
        if task != "regression":
            share = (count * share + 1 / (OUTPUTS if task == "classification" else 2)) / (count + 1)
            outputs = np.log(share) if task == "classification" else np.log(share / (1 - share))
        scale = labels.std(axis=0, dtype=np.float64) if task == "regression" else None
        expected = make_objective(task, scale=scale).metrics(outputs, val_labels)
        assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert metrics == pytest.approx(expected, rel=0.01)  # what equals what but for rounding may come first or last


def test_neighbours_of_targets_are_averaged() -> None:
    features, labels, val_features, val_labels = make_sets("regression")
    found = knn_baseline(features, labels, val_features, val_labels, "regression", num_classes=OUTPUTS, k=(5,))
    model = KNeighborsRegressor(5, metric="cosine").fit(features.astype(np.float64), labels)
    expected = float(np.abs(model.predict(val_features.astype(np.float64)) - val_labels).mean())
    assert found[5]["mae"] == pytest.approx(expected, rel=1e-5)


def test_neighbours_with_several_labels() -> None:
    known = np.eye(2, dtype=np.float32)
    labels = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    found = knn_baseline(known, labels, known, labels, "multilabel", num_classes=3, k=(1, 2))
    assert found[1] == pytest.approx({"map": 1.0, "macro_f1": 1.0, "micro_f1": 1.0, "loss": -np.log(0.75)})
    assert found[2]["map"] == 1.0


# On real images


@pytest.mark.slow
def test_exact_heads_match_gradient_descent_on_birds(assets: Path, weights: Any, tmp_path: Path) -> None:
    config = make_config(
        {
            "name": "birds",
            "output_dir": tmp_path / "runs",
            "model": {"name": "mobilenet_v2", "pretrained": str(weights("mobilenet_v2"))},
            "data": {"format": "cub200", "root": str(assets / "datasets" / "CUB_200_2011_mini")},
            "transfer": {"preset": "linear_probe"},
            "train": {"device": "cpu"},
            "cache": {"dir": tmp_path / "cache"},
            "log": {"visualdl": False},
            "export": {"enabled": False, "report": False},
        }
    )
    trained = Trainer.from_config(config).fit().best["top1"]
    job = build_job(config)
    job.network.freeze(len(job.stages))
    job.network.eval()
    sets = []
    for images in (job.data.train, job.data.val):
        loader = job.loader(images, training=False)
        features = np.concatenate([pooled(job.network, batch.inputs) for batch in loader])
        sets += [features, images.labels]
    solution = fit_linear_head(*sets, config.task, num_classes=len(job.data.classes))
    assert all(trial.converged for trial in solution.trials)
    assert solution.best.val["top1"] >= trained - 0.01
    neighbours = knn_baseline(*sets, config.task, num_classes=len(job.data.classes))
    assert 0.7 < max(metrics["top1"] for metrics in neighbours.values()) <= solution.best.val["top1"] + 0.01
    install_linear_solution(job.network, solution)
    outputs = paddle.Model(job.network).predict_batch([next(iter(job.loader(job.data.val, training=False))).inputs])[0]
    np.testing.assert_allclose(outputs, solution.outputs(sets[2][: len(outputs)]), atol=1e-3)


@pytest.mark.parametrize("informative", [0, 1])
def test_the_last_of_several_stages_is_read_alone_if_the_others_do_not_help(informative: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    stages = [rng.normal(size=(90, 20)).astype(np.float32) for _ in range(2)]
    stages[informative][np.arange(90), labels] += 3
    rows = np.concatenate(stages, axis=1)
    found = fit_linear_head(
        rows[:60], labels[:60], rows[60:], labels[60:], "classification", num_classes=3, pieces=(20, 20)
    )
    assert found.best.val["top1"] > 0.9
    alone = not found.weight[:20].any()
    assert alone == (informative == 1)
    assert any("last stage alone" in note for note in found.notes) == alone
    if alone:
        only = fit_linear_head(
            rows[:60, 20:], labels[:60], rows[60:, 20:], labels[60:], "classification", num_classes=3
        )
        assert found.best.val["top1"] == only.best.val["top1"]
        assert found.best.held_out == pytest.approx(only.best.held_out or 0.0, rel=1e-3)
