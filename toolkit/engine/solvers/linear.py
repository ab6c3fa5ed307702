"""The best linear head on fixed features: a convex problem, solved for several regularisation strengths."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from toolkit.engine.learning.objective import Objective, make_objective
from toolkit.engine.solvers.fitters import FITTERS, Fitter
from toolkit.engine.solvers.folds import HeldOut
from toolkit.engine.solvers.rows import Rows, Scaling, labels_of
from toolkit.engine.solvers.solution import LinearSolution, Trial
from toolkit.tasks import TASKS, TaskName

_GRID = (1e5, 1e4, 1e3, 1e2, 1e1, 1.0, 1e-1)
_SMALL = 10**7
"""Feature array size below which one BLAS thread is fastest."""
_RISES = 2
_MOST_STEPS = 3
"""How often the grid grows if the best value is at its end."""
_LAST_ALONE = (
    "the last stage alone predicts training images held out no worse than all stages read, so only it has weights"
)
_TOO_FEW = "too few training images for cross-validation: the regularisation was chosen on validation images"


def fit_linear_head(
    features: Rows,
    labels: NDArray[Any],
    val_features: Rows,
    val_labels: NDArray[Any],
    task: TaskName,
    *,
    num_classes: int,
    views: int = 1,
    grid: Sequence[float] = _GRID,
    after_fit: Callable[[], None] = lambda: None,
    pieces: Sequence[int] = (),
) -> LinearSolution:
    """Fit a linear head exactly, with the best regularisation by cross-validation on the training images.

    It minimises ``sum of losses + regularisation / 2 * sum of squared weights`` over weights on standardised features
    and free biases. The loss is the cross entropy (classification: multinomial logistic regression), the binary cross
    entropy summed over labels (multilabel: one-vs-rest logistic regressions) or half the squared error of standardised
    targets (ridge regression). The regularisation is thus scikit-learn's ``1 / C`` for three classes or more and for
    labels, and Ridge's ``alpha``. For two classes it is ``2 / C``: a softmax has weights for both, scikit-learn one set
    for their difference, and a penalty on two opposite halves is half of that on the difference. Logistic regressions
    are scikit-learn's by L-BFGS, each warm-started with the last one's optimum, until no component of the
    mean loss's gradient exceeds 1e-6 or float32 allows no progress; ridge has a closed form. The features' mean, and
    one scale for all of them (for all of a stage, if there are several), over the training rows are folded into the
    result, which takes unscaled features. Nothing is random.

    All metrics are those of the folded float32 head. The best value has the lowest loss on held-out training images
    (five-fold cross-validation; a single fifth if there are very many images); ties go to the stronger one. So the
    validation rows choose nothing, and their metrics are unbiased. If that loss rises twice in a row, no weaker value
    is tried. With too few training images, such as one per class, the task's main metric on the validation rows
    decides, then the lower loss. If the best value is at an end of the grid, the grid grows there, by up to three
    values; finally the geometric means of the best value and its neighbours are tried as well.

    Memory: one float32 copy of the training features (100,000 x 2,048: 0.8 GB) and a few arrays of N x C (L-BFGS) or of
    min(N, D) x min(N, D) (ridge; two float64 copies of the features where N < D); validation features are read in
    chunks.

    Args:
        features: Training rows ``[N, D]``, in memory, memory-mapped or from the cache; N >= 1.
        labels: Class indices ``[N]``, 0/1 ``[N, C]``, or targets ``[N, C]`` in their own units.
        val_features: Validation rows ``[M, D]``; M >= 1.
        val_labels: Labels of the validation rows.
        task: Task, which determines what the labels are.
        views: Number of augmented views per image in the training rows, see ``StackedViews``.
        num_classes: C, the number of classes, labels or targets. Classes without training rows are never predicted.
        grid: Strengths to try, > 0; a single one is used unchanged. Default: 1e5 to 0.1 by tens.
        after_fit: Called after each optimisation; an exception ends the work.
        pieces: Number of features of each stage, if they are those of several, in order; D in total. The head of the
            last stage alone is then fitted as well, and returned (with weights 0 for the others) unless the loss on
            held-out training images is higher.

    Returns:
        The head, the table of trials, and notes (optimum not reached, classes without images).

    Raises:
        TrainingError: Features are not finite, or there are no rows.
        ValueError: Features and labels do not match, or the grid is empty or not positive.
    """
    began = time.monotonic()
    labels = labels_of(features, labels, "training images")
    val_labels = labels_of(val_features, val_labels, "validation images")
    strengths = sorted(set(grid), reverse=True)
    if not strengths or not strengths[-1] > 0:
        raise ValueError(f"regularisation: {list(grid)}; expected numbers above 0")
    objective = make_objective(task, scale=TASKS[task].scale_of(labels))

    def searched(scale: Callable[[Rows], Scaling]) -> _Search:
        scaling = scale(features)
        fitter = FITTERS[TASKS[task].loss](scaling.apply(features), labels, num_classes, after_fit)
        held = HeldOut(features, labels, views, objective, num_classes, after_fit, scale) if strengths[1:] else None
        search = _Search(fitter, scaling, (features, labels), (val_features, val_labels), objective, held)
        for strength in strengths:
            search.tried(strength)
            if search.rises:
                break
        if len(strengths) > 1:
            search.grow(strengths[0] / strengths[1], strengths[-1] / strengths[-2])
            search.refine()
        return search

    with _few_threads(features.shape):
        search = searched(partial(Scaling.of, pieces=pieces))
        if len(pieces) > 1 and search.is_cross_validated:
            last = searched(partial(Scaling.of, pieces=pieces, last=True))
            if last.merit >= search.merit:
                last.remark(f"{_LAST_ALONE}: {-last.merit[0]:.3f} against {-search.merit[0]:.3f}")
                search = last
    return search.solution(time.monotonic() - began)


def _few_threads(shape: tuple[int, ...]) -> AbstractContextManager[Any]:
    """One BLAS thread for small problems: several threads spend more time waiting than computing."""
    return threadpool_limits(1, "blas") if math.prod(shape) < _SMALL else nullcontext()


class _Search:
    """Strengths tried so far, and the head of the best one.

    Args:
        fitter: The convex problem on standardised features.
        scaling: The standardisation of the features.
        train: Unscaled features, and labels.
        val: The same for the validation rows.
        objective: Metrics of the task.
        held_out: Held-out training images; None if there is nothing to choose.
    """

    def __init__(
        self,
        fitter: Fitter,
        scaling: Scaling,
        train: tuple[Rows, NDArray[Any]],
        val: tuple[Rows, NDArray[Any]],
        objective: Objective,
        held_out: HeldOut | None = None,
    ) -> None:
        self._fitter, self._scaling, self._objective, self._held_out = fitter, scaling, objective, held_out
        self._parts = (train, val)
        self._trials: list[Trial] = []
        self._remarks: list[str] = []
        self._best: LinearSolution | None = None

    def tried(self, regularisation: float) -> None:
        """Fit and measure one strength."""
        weight, bias, converged = self._fitter.fit(regularisation)
        folded, offset = self._scaling.fold(weight, bias)
        name = self._objective.task.name
        head = LinearSolution(name, folded.astype(np.float32), offset.astype(np.float32), regularisation, (), 0.0)
        train, val = (self._objective.metrics(head.outputs(rows), labels) for rows, labels in self._parts)
        held_out = self._held_out.loss(regularisation) if self._held_out is not None else None
        trial = Trial(regularisation, train, val, converged, held_out)
        self._trials = sorted([*self._trials, trial], key=lambda trial: -trial.regularisation)
        if max(self._trials, key=self._merit) is trial:
            self._best = head

    def _merit(self, trial: Trial) -> tuple[float, float, float]:
        if trial.held_out is not None:
            return (-trial.held_out, 0.0, trial.regularisation)
        main = self._objective.task.main
        value = trial.val[main.name]
        return (value if main.better == "max" else -value, -trial.val["loss"], trial.regularisation)

    @property
    def is_cross_validated(self) -> bool:
        """Whether training images were held out to choose the strength."""
        return self._trials[0].held_out is not None

    @property
    def merit(self) -> tuple[float, float, float]:
        """How good the best strength is; higher is better."""
        return max(map(self._merit, self._trials))

    def remark(self, words: str) -> None:
        """Add a note to the solution."""
        self._remarks.append(words)

    @property
    def rises(self) -> bool:
        """Whether the held-out loss has risen twice in a row: weaker values would only overfit further."""
        last = [trial.held_out for trial in self._trials[-_RISES - 1 :]]
        known = [value for value in last if value is not None]
        return len(known) > _RISES and all(earlier < later for earlier, later in pairwise(known))

    def grow(self, stronger: float, weaker: float) -> None:
        """Try more values, by these factors, while the best one is the strongest or the weakest."""
        for _ in range(_MOST_STEPS):
            best = max(self._trials, key=self._merit)
            if best is self._trials[-1]:
                self.tried(best.regularisation * weaker)
            elif best is self._trials[0]:
                self.tried(best.regularisation * stronger)
            else:
                return

    def refine(self) -> None:
        """Try the values halfway between the best one and its neighbours, on a logarithmic scale."""
        best = max(self._trials, key=self._merit)
        place = self._trials.index(best)
        for near in self._trials[max(place - 1, 0) : place] + self._trials[place + 1 : place + 2]:
            self.tried(math.sqrt(best.regularisation * near.regularisation))

    def solution(self, seconds: float) -> LinearSolution:
        """The best head with all results."""
        best = self._best
        if best is None:
            raise ValueError("no regularisation was tried")
        stuck = [f"{trial.regularisation:g}" for trial in self._trials if not trial.converged]
        notes = [
            *self._fitter.notes,
            *self._remarks,
            *([f"optimum not reached for regularisation {', '.join(stuck)}"] if stuck else []),
            *([_TOO_FEW] if len(self._trials) > 1 and self._trials[0].held_out is None else []),
        ]
        return LinearSolution(
            best.task, best.weight, best.bias, best.regularisation, tuple(self._trials), seconds, tuple(notes)
        )
