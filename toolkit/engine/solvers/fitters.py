"""The convex problems, one class per task, solved for one regularisation strength after another.

All of them minimise ``sum of losses + regularisation / 2 * sum of squared weights`` on standardised features; biases
are not penalised. The loss is the cross entropy in nats, summed over labels if there are several, or half the squared
error of standardised targets.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.engine.solvers.rows import chunks_of
from toolkit.tasks import Loss

Floats = NDArray[np.float64]
TOLERANCE = 1e-6
"""Largest gradient component of the mean loss at which an optimum counts as reached."""
_MAX_STEPS = 1000


class Fitter(Protocol):
    """A convex problem on standardised features.

    Attributes:
        notes: Notes on these labels for the user.
    """

    notes: list[str]

    def fit(self, regularisation: float) -> tuple[Floats, Floats, bool]:
        """Weight ``[D, C]``, bias ``[C]``, and whether the optimum was reached; starts at the last optimum."""


class _Logistic:
    """Logistic regression by L-BFGS, warm-started.

    It starts at the log frequencies of the classes: under a strong penalty, weights and biases have very different
    curvatures, and rare classes would cost hundreds of steps.

    Args:
        x: Standardised features ``[N, D]``.
        labels: Class indices ``[N]`` with at least two distinct values.
        tolerance: Upper bound of the mean loss's gradient components at the end.
    """

    def __init__(self, x: NDArray[np.float32], labels: NDArray[Any], tolerance: float) -> None:
        from sklearn.linear_model import LogisticRegression  # takes a second to import

        self._x, self._labels = x, labels
        counts = np.unique(labels, return_counts=True)[1]
        self._model = LogisticRegression(solver="lbfgs", tol=tolerance, max_iter=_MAX_STEPS, warm_start=True)
        rows = 1 if len(counts) == 2 else len(counts)
        logs = np.log(counts)
        self._model.coef_ = np.zeros((rows, x.shape[1]), x.dtype)
        self._model.intercept_ = (logs[1:] - logs[0] if rows == 1 else logs - logs.mean()).astype(x.dtype)

    def fit(self, penalty: float) -> tuple[Floats, Floats, bool]:
        """``(weight [C, D], bias [C], converged)`` for ``penalty / 2 * |weight|^2``; C is 1 for two classes."""
        from sklearn.exceptions import ConvergenceWarning

        self._model.set_params(C=1.0 / penalty)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self._model.fit(self._x, self._labels)
        converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        return self._model.coef_.astype(np.float64), self._model.intercept_.astype(np.float64), converged


class Classes:
    """Multinomial logistic regression.

    A class without training images gets weight 0 and a bias that keeps its probability below 0.5 / N.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        labels: NDArray[Any],
        outputs: int,
        after_fit: Callable[[], None],
        tolerance: float = TOLERANCE,
    ) -> None:
        self._x, self._outputs, self._after_fit = x, outputs, after_fit
        self._present = np.unique(labels)
        self._logistic = _Logistic(x, labels, tolerance) if len(self._present) > 1 else None
        missing = outputs - len(self._present)
        self.notes = [f"{missing} of {outputs} classes have no training images: never predicted"] if missing else []

    def fit(self, regularisation: float) -> tuple[Floats, Floats, bool]:
        """See ``Fitter``."""
        weight, bias, converged = np.zeros((self._x.shape[1], self._outputs)), np.zeros(self._outputs), True
        if self._logistic is not None:
            pair = len(self._present) == 2  # a single vector w represents -w/2 and w/2, with half its squared norm
            coefficients, offset, converged = self._logistic.fit(regularisation / 2 if pair else regularisation)
            self._after_fit()
            weight[:, self._present] = (np.concatenate([-coefficients, coefficients]) / 2 if pair else coefficients).T
            bias[self._present] = np.concatenate([-offset, offset]) / 2 if pair else offset
        if len(self._present) < self._outputs:
            absent = np.setdiff1d(np.arange(self._outputs), self._present)
            bias[absent] = self._least(weight[:, self._present], bias[self._present]) - np.log(2 * len(self._x))
        return weight, bias, converged

    def _least(self, weight: Floats, bias: Floats) -> float:
        """The smallest log of the sum of exponentials over the training rows."""
        logits = (chunk @ weight + bias for _, chunk in chunks_of(self._x, weight.shape[1]))
        return min(float(np.logaddexp.reduce(chunk, axis=1).min()) for chunk in logits)


class Labels:
    """One logistic regression per label; a constant label gets weight 0 and its log odds as bias."""

    def __init__(
        self,
        x: NDArray[np.float32],
        labels: NDArray[Any],
        outputs: int,
        after_fit: Callable[[], None],
        tolerance: float = TOLERANCE,
    ) -> None:
        self._x, self._outputs, self._after_fit = x, outputs, after_fit
        true = labels > 0.5
        count = true.sum(axis=0)
        self._constant = np.log((count + 0.5) / (len(x) - count + 0.5))
        varied = np.flatnonzero((count > 0) & (count < len(x)))
        self._logistic = {int(label): _Logistic(x, true[:, label], tolerance) for label in varied}
        left = outputs - len(varied)
        self.notes = [f"{left} of {outputs} labels have one value in training: a constant"] if left else []

    def fit(self, regularisation: float) -> tuple[Floats, Floats, bool]:
        """See ``Fitter``."""
        weight, bias, all_converged = np.zeros((self._x.shape[1], self._outputs)), self._constant.copy(), True
        for label, logistic in self._logistic.items():
            coefficients, offset, converged = logistic.fit(regularisation)
            self._after_fit()
            weight[:, label], bias[label] = coefficients[0], offset[0]
            all_converged = all_converged and converged
        return weight, bias, all_converged


class Targets:
    """Ridge regression of all targets at once, from one eigendecomposition for all strengths.

    With ``X'X = V diag(s) V'`` the optimum is ``V diag(1 / (s + r)) V' X'Y`` (Hoerl and Kennard 1970, "Ridge
    Regression"). With fewer rows than features, ``XX'`` is decomposed: ``X' U diag(1 / (s + r)) U' Y``. All in float64.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        labels: NDArray[Any],
        outputs: int,
        after_fit: Callable[[], None],
        tolerance: float = TOLERANCE,
    ) -> None:
        from scipy.linalg import eigh

        del tolerance  # the optimum has a closed form
        self.notes: list[str] = []
        targets = labels.astype(np.float64)
        self._mean, std = targets.mean(axis=0), targets.std(axis=0)
        self._std = np.where(std > 0, std, 1.0)
        y = (targets - self._mean) / self._std
        self._left: Floats | None = None
        if len(x) < x.shape[1]:
            self._left = x.astype(np.float64).T
            values, self._vectors = eigh(self._left.T @ self._left)
            self._projected = self._vectors.T @ y
        else:
            gram, cross = np.zeros((x.shape[1], x.shape[1])), np.zeros((x.shape[1], y.shape[1]))
            for place, chunk in chunks_of(x):
                block = chunk.astype(np.float64)
                gram += block.T @ block
                cross += block.T @ y[place]
            values, self._vectors = eigh(gram, overwrite_a=True)
            self._projected = self._vectors.T @ cross
        self._values = np.maximum(values, 0.0)
        after_fit()

    def fit(self, regularisation: float) -> tuple[Floats, Floats, bool]:
        """See ``Fitter``."""
        weight = self._vectors @ (self._projected / (self._values + regularisation)[:, None])
        if self._left is not None:
            weight = self._left @ weight
        return weight * self._std, self._mean.copy(), True


MakeFitter = Callable[..., Fitter]
FITTERS: Mapping[Loss, MakeFitter] = MappingProxyType(
    {"cross_entropy": Classes, "binary_cross_entropy": Labels, "squared_error": Targets}
)
