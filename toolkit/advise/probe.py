"""How well features predict the labels: nearest neighbours and a cross-validated linear probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from toolkit.tasks import TASKS, Output, TaskName

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
_MOST_FOLDS = 5
_NEIGHBOURS, _TEMPERATURE = 5, 0.1
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Probe:
    """A score and its precision.

    Attributes:
        score: Accuracy (classification), mean average precision (multilabel) or R2 (regression).
        error: Standard error of the score over the images.
        each: Each image's part in the score, whose mean is the score; None for a metric that is no mean over images.
    """

    score: float
    error: float
    each: Floats | None = None


def skill(score: float, chance: float) -> float:
    """Rescale a score from chance (0) to perfection (1), clipped at 0."""
    return max(0.0, (score - chance) / (1 - chance)) if chance < 1 else 0.0


def linear_score(features: Floats, labels: NDArray[Any], task: TaskName = "classification", seed: int = 0) -> Probe:
    """Score a linear model on unseen images: ridge regression on 0 and 1 (scikit-learn's ``RidgeCV``).

    Up to five stratified folds; the penalty is chosen within each fold by generalised cross-validation.
    Linear probes: Alain & Bengio 2016, arXiv:1610.01644.

    Args:
        features: ``[N, D]``, N >= 2.
        labels: Class indices ``[N]``, at least two images of each class; 0/1 ``[N, C]``; or targets ``[N, T]``.
        task: What the labels are.
        seed: Seed of the folds.
    """
    targets = TASKS[task].columns(labels)
    outputs = np.zeros_like(targets)
    for train, test in _folds(labels, task, seed):
        scaler = StandardScaler().fit(features[train])
        known, asked = scaler.transform(features[train]), scaler.transform(features[test])
        strengths = [strength * features.shape[1] for strength in _STRENGTHS]
        model = RidgeCV(alphas=strengths).fit(known, targets[train])
        outputs[test] = model.predict(asked).reshape(len(test), -1)
    return _SCORES[TASKS[task].outputs](outputs, labels)


def knn_score(features: Floats, labels: NDArray[Any], task: TaskName = "classification") -> Probe:
    """Score the five nearest other images by cosine of standardised features, weighted by similarity.

    The weights are those of Wu et al. 2018, arXiv:1805.01978, section 3.4.

    Args:
        features: ``[N, D]``, N >= 2.
        labels: As for ``linear_score``.
        task: What the labels are.
    """
    rows = StandardScaler().fit_transform(np.asarray(features, np.float64))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    near = rows @ rows.T
    np.fill_diagonal(near, -np.inf)
    k = min(_NEIGHBOURS, len(rows) - 1)
    found = np.argpartition(-near, k - 1, axis=1)[:, :k]
    closeness = np.take_along_axis(near, found, axis=1)
    votes = np.exp((closeness - closeness.max(axis=1, keepdims=True)) / _TEMPERATURE)
    votes /= votes.sum(axis=1, keepdims=True)
    return _SCORES[TASKS[task].outputs]((votes[..., None] * TASKS[task].columns(labels)[found]).sum(axis=1), labels)


def _folds(labels: NDArray[Any], task: TaskName, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    if TASKS[task].one_class_per_image:
        counts = np.bincount(labels)
        folds = int(min(_MOST_FOLDS, counts[counts > 0].min()))
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))
    return list(KFold(min(_MOST_FOLDS, len(labels)), shuffle=True, random_state=seed).split(labels))


def _accuracy(outputs: Floats, labels: NDArray[Any]) -> Probe:
    each = (outputs.argmax(axis=1) == labels).astype(np.float64)
    right = float(each.mean())
    return Probe(right, float(np.sqrt(right * (1 - right) / len(labels))), each)


def _precision(outputs: Floats, labels: NDArray[Any]) -> Probe:
    some = [column for column in range(labels.shape[1]) if 0 < labels[:, column].sum() < len(labels)]
    found = [float(average_precision_score(labels[:, column], outputs[:, column])) for column in some]
    score = float(np.mean(found)) if found else float(labels.mean())
    return Probe(score, float(np.sqrt(max(0.0, score * (1 - score)) / len(labels))))


def _explained(outputs: Floats, labels: NDArray[Any]) -> Probe:
    truth = labels.astype(np.float64)
    spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    some = spread > 0
    if not some.any():
        return Probe(0.0, 0.0)
    each = 1 - len(labels) * (((outputs - truth) ** 2)[:, some] / spread[some]).mean(axis=1)
    score = float(each.mean())
    return Probe(score, float(max(0.0, 1 - score) * np.sqrt(2 / len(labels))), each)


_SCORES: Mapping[Output, Callable[[Floats, NDArray[Any]], Probe]] = MappingProxyType(
    {"class": _accuracy, "label": _precision, "target": _explained}
)
