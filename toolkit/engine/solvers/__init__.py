"""Heads without gradient descent: the exact optimum of a linear head on frozen features, and nearest neighbours."""

from toolkit.engine.solvers.install import check_exact_solver, install_linear_solution
from toolkit.engine.solvers.linear import fit_linear_head
from toolkit.engine.solvers.neighbours import knn_baseline
from toolkit.engine.solvers.rows import StackedViews
from toolkit.engine.solvers.solution import LinearSolution, Trial

__all__ = [
    "LinearSolution",
    "StackedViews",
    "Trial",
    "check_exact_solver",
    "fit_linear_head",
    "install_linear_solution",
    "knn_baseline",
]
