"""A phase in which only a linear head moves, solved instead of trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.config import Config, ScheduleConfig, TrainConfig
from toolkit.core.console import info, show
from toolkit.core.errors import ConfigError, ToolkitError, TrainingError
from toolkit.engine.features.loaders import FeatureLoader
from toolkit.engine.features.policy import decide
from toolkit.engine.job import Job
from toolkit.engine.lr.search import run_to_go_on_with
from toolkit.engine.solvers import (
    LinearSolution,
    StackedViews,
    check_exact_solver,
    fit_linear_head,
    install_linear_solution,
    knn_baseline,
)
from toolkit.transfer import Plan

_MOST_PAIRS = 2 * 10**8
"""Maximum pairs of training and validation images for a neighbour search: some seconds of work."""


_TRAINING = (
    "epochs",
    "lr",
    "optimizer",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "clip_norm",
    "clip_value",
    "loss",
    "class_weights",
    "mixup",
    "cutmix",
    *ScheduleConfig.model_fields,
)
"""Keys of ``train`` that define how a head is trained."""
_EPOCHS = ("reduce_on_plateau", "weight_averaging", "model_checkpoint", "functions", "custom")
"""Callbacks that depend on epochs."""


def settle_solver(job: Job, resume: Path | str | None = None) -> Job:
    """Settle what is solved in a job's plan if ``train.solver: auto`` leaves that open.

    If the head is the only part that moves in the whole run, it is solved: on real images its optimum, regularised by
    cross-validation, is better than what 30 or 300 epochs of descent find (docs/advisor.md). It is trained if the
    config says how, or (with a message) if it cannot be solved.

    Args:
        job: The job.
        resume: As for ``Trainer.fit``.

    Raises:
        ToolkitError: A plan to be solved cannot be, or a solved head is to be trained further: it reads unscaled
            features, for which no rate here is designed.
    """
    plan = job.plan
    if job.config.train.solver == "auto" and all(phase.frozen == len(job.stages) for phase in plan.phases):
        why = why_trained(job.config) or _why_not_solved(job)
        if why:
            info(f"the head is trained by {plan.optimizer}, not solved: {why}")
        else:
            job = replace(job, plan=solved(plan))
    check_solver(job)
    begun = run_to_go_on_with(job.config, resume)
    was_solved = begun is not None and begun.record.is_file() and "solver" in begun.read_record()
    if was_solved and all(phase.solver == "sgd" for phase in job.plan.phases):
        raise ConfigError(
            "the head of this run was solved, but the config now asks for a trained one",
            hint="omit train.epochs and the like to resume it, or --resume to start another run",
        )
    return job


def solved(plan: Plan) -> Plan:
    """Replace the training of a head-only plan with solving it."""
    note = "the head's optimum is computed, not trained; train.solver: sgd, or train.epochs, trains it"
    phases = tuple(replace(phase, epochs=1, solver="exact", search=False) for phase in plan.phases)
    return replace(plan, phases=phases, notes=(*plan.notes, note))


def why_trained(config: Config) -> str:
    """Settings of a config that ask for a trained rather than a solved head; empty if there are none."""
    train, usual = config.train, TrainConfig()
    asked = [f"train.{key}" for key in _TRAINING if getattr(train, key) != getattr(usual, key)]
    asked += [f"callbacks.{key}" for key in _EPOCHS if getattr(config.callbacks, key)]
    others = {
        "transfer.phases": config.transfer.phases is not None,
        f"data.sampling: {config.data.sampling}": config.data.sampling != "natural",
        "data.weight_column": config.data.weight_column is not None,
        f"model.head.type: {config.model.head.type}": config.model.head.type != "linear",
        "model.head.dropout": config.model.head.dropout > 0,
    }
    asked += [key for key, is_asked in others.items() if is_asked]
    return f"the config has {' and '.join(asked)}" if asked else ""


def _why_not_solved(job: Job) -> str:
    """Why a plan without such settings cannot be solved; empty if it can."""
    wanted = replace(job, plan=solved(job.plan))
    try:
        check_solver(wanted)
    except ToolkitError as error:
        return error.message
    (phase,) = wanted.plan.phases
    decision = decide(wanted.in_phase(phase), phase)
    return "" if decision.cached else decision.reason or "its features cannot be cached"


def check_solver(job: Job) -> None:
    """Reject a plan whose solved phases have no cached features, or a head that cannot be solved.

    Raises:
        ConfigError: The features would not be cached.
        NetworkError: The head is not a linear function of them; the hint says what to set.
    """
    for phase in job.plan.phases:
        if phase.solver != "exact":
            continue
        check_exact_solver(job.network, phase.frozen)
        if job.config.cache.enabled is False:
            raise ConfigError("train.solver: exact needs cached features", hint="omit cache.enabled")
        augment = job.plan.augment_of(phase)
        if augment != "none" and job.config.cache.views is None:
            raise ConfigError(
                f"train.solver: exact needs cached features, but augmentation ({augment}) changes them",
                hint="set cache.views: 4 to solve on four views of each image, or data.augment: none",
            )


def solve_phase(
    job: Job, training: object, validation: object, after_fit: Callable[[], None]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Solve the head instead of training an epoch.

    Returns:
        Training metrics, with ``lr``; and how the head was found, for ``run.json``.

    Raises:
        TrainingError: The features were not cached.
    """
    if not isinstance(training, FeatureLoader) or not isinstance(validation, FeatureLoader):
        raise TrainingError("the features are too large to cache", hint="omit train.solver, or raise cache.max_size")
    solution, neighbours = solve_head(job, training, validation, after_fit)
    neighbour_metrics = [{"k": k, "val": metrics} for k, metrics in neighbours.items()]
    train = {name: solution.best.train[name] for name in ("loss", *job.objective.task.training)}
    return {**train, "lr": 0.0}, {**solution.to_json(), "neighbours": neighbour_metrics}


def solve_head(
    job: Job, training: FeatureLoader, validation: FeatureLoader, after_fit: Callable[[], None]
) -> tuple[LinearSolution, dict[int, dict[str, float]]]:
    """Fit the head on the features of all training images, install it in the network, and report the trials.

    Args:
        job: The job.
        training: Features of the training images.
        validation: Features of the validation images; used for choosing only if there are too few training images.
        after_fit: Called after each fit; an exception ends the work.

    Returns:
        The head, and for comparison the validation metrics of k nearest neighbours for each k; empty if that would take
        too long.
    """
    count = len(training.views)
    labels = np.tile(training.labels, (count,) + (1,) * (training.labels.ndim - 1))
    rows = (StackedViews(training.views), labels, validation.views[0], validation.labels, job.data.task)
    outputs = job.network.num_classes
    pieces = job.network.feature_pieces
    solution = fit_linear_head(*rows, num_classes=outputs, views=count, after_fit=after_fit, pieces=pieces)
    install_linear_solution(job.network, solution)
    show(solution.table())
    for note in solution.notes:
        info(note)
    if len(labels) * len(validation.labels) > _MOST_PAIRS:
        return solution, {}
    main = job.objective.task.main
    baseline = knn_baseline(*rows, num_classes=outputs)
    best = max(baseline, key=lambda k: baseline[k][main.name])
    info(f"for comparison, {best} nearest neighbours: {main.title} {baseline[best][main.name]:.3f}")
    return solution, baseline
