"""Manual changes between ``build_job`` and ``Trainer.fit``: the run adopts and reports them, or rejects them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import paddle
from paddle import Tensor, nn

from toolkit.config import with_overrides
from toolkit.core.console import info
from toolkit.core.errors import ConfigError, NetworkError, ToolkitError, TrainingError
from toolkit.core.evaluation import evaluating
from toolkit.engine.build import dense_head, plan_of
from toolkit.engine.job import Job
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo import StagedNetwork
from toolkit.zoo.manual_changes import rebind

_MOST_NAMED = 3


def check_network(job: Job) -> None:
    """Reject a network that cannot be trained in stages.

    Raises:
        NetworkError: The network was not created by ``build_job``.
    """
    if not isinstance(job.network, StagedNetwork):
        raise NetworkError(
            f"the job's network is a {type(job.network).__name__}; a trainer needs the network that build_job made",
            hint="put your own layers into that network, for instance as its head",
        )


def adopt(job: Job) -> Job:
    """Adopt manual changes of a job's network; returns the same job if there are none.

    Parameters are resolved again, so that a custom head learns at the head's rate. A freeze set by hand becomes
    ``transfer.freeze``; individually frozen weights are held in all phases.

    Args:
        job: The job.

    Returns:
        The job with the updated config, plan and stages, and a line in ``by_hand`` on each change.

    Raises:
        NetworkError: The changed network cannot run or be trained.
        ConfigError: A freeze that contradicts the plan and cannot be made part of it, or nothing is left to train.
    """
    network = job.network
    modes = network.modes_by_hand()
    rebind(network)
    names = tuple(stage.name for stage in job.stages)
    if names != network.stage_names:
        raise NetworkError(
            f"the job's network has {len(network.stage_names)} stages ({_few(network.stage_names)}), but its plan is "
            f"for {len(names)} ({_few(names)})",
            hint="build the job with the network's name in model.name",
        )
    changes = network.by_hand
    held, changes.frozen = _read_freezing(job)
    network.hold(held, {*changes.evaluating, *_in_evaluation(*modes)})
    if not (changes.layers or held or changes.evaluating or changes.frozen is not None):
        return job
    if changes.layers:
        _check_outputs(job)
    if changes.stages:
        job = replace(job, stages=tuple(network.describe(job.preprocessing.image_size)))
    before, job = job.plan.frozen, _planned(job)
    _check_what_learns(job)
    network.set_frozen(job.plan.phases[0].frozen)
    job = replace(job, by_hand=tuple(_words(job, before)))
    for line in job.by_hand:
        info(f"by hand: {line}")
    return job


@dataclass(frozen=True)
class _Freezing:
    """How freezing differs from the last setting: keys, each with the number of stages that freezes it.

    Attributes:
        stilled: Weights that were frozen.
        freed: Weights that were unfrozen.
    """

    stilled: dict[str, int]
    freed: dict[str, int]


def _freezing(network: StagedNetwork, plan_frozen: int) -> _Freezing:
    stilled, freed = {}, {}
    for part, level in network.levels():
        for key, weight in part.weights.items():
            frozen = level <= network.frozen or key in network.by_hand.held
            fresh = key in network.by_hand.weights and level > plan_frozen  # a later phase moves it
            if weight.stop_gradient and not frozen:
                stilled[key] = level
            elif not weight.stop_gradient and frozen and not fresh:
                freed[key] = level
    return _Freezing(stilled, freed)


def _read_freezing(job: Job) -> tuple[set[str], int | None]:
    """Keys of weights to hold, and the number of stages frozen by hand; None: as in the plan."""
    network = job.network
    changes, frozen = _freezing(network, job.plan.frozen), network.frozen
    levels = {key: level for part, level in network.levels() for key in part.weights}
    stopped = {key for part, _ in network.levels() for key, weight in part.weights.items() if weight.stop_gradient}
    held = ((set(network.by_hand.held) & levels.keys()) | changes.stilled.keys()) - changes.freed.keys()
    lower = [level for level in changes.freed.values() if level <= frozen]
    count = min(lower) - 1 if lower else frozen
    rest = {key for key in stopped if count < levels[key] <= frozen}
    if rest and len({phase.frozen for phase in job.plan.phases}) > 1:
        raise ConfigError(
            f"{_few(sorted(changes.freed))} learns by hand, but the plan freezes whole stages in one of several phases",
            hint="set transfer.head_first: 0, or unfreeze whole stages from the top",
        )
    held |= rest
    if changes.stilled and not lower:
        moving = [level for key, level in levels.items() if level > frozen and key not in held]
        stages = min(moving, default=len(job.stages) + 1) - 1
        if any(frozen < level <= stages for level in levels.values()):
            count = min(stages, len(job.stages))
    held = {key for key in held if levels[key] > count}
    return held, network.by_hand.frozen if count == frozen else count


def _in_evaluation(still: list[str], training: list[str]) -> list[str]:
    """Paths of layers put into evaluation mode by hand; see ``modes_by_hand``."""
    if training:
        raise ConfigError(
            f"{_few(training)} was put into training mode by hand, but the plan keeps its statistics",
            hint="set transfer.batch_norm: train, and transfer.freeze for stages that are to move",
        )
    return still


def _planned(job: Job) -> Job:
    """The job with a manual freeze as ``transfer.freeze``, and with the rates for its current head."""
    frozen, config = job.network.by_hand.frozen, job.config
    if frozen is not None and frozen != config.transfer.freeze and frozen != job.plan.frozen:
        if config.transfer.phases:
            raise ConfigError(
                f"{frozen} stages are frozen by hand, but transfer.phases sets what is frozen when",
                hint="set freeze in each of transfer.phases",
            )
        config = with_overrides(config, transfer={"freeze": frozen})
    elif not job.network.by_hand.head:
        return job
    if job.plan != job.own_plan:
        if config is job.config:
            return job
        raise ConfigError(
            f"{frozen} stages are frozen by hand, but the job has its own plan, which freezes {job.plan.frozen}",
            hint=f"set transfer.freeze: {frozen} before build_job",
        )
    plan = plan_of(config, job.all_stages, dense_head(job.network))
    return replace(job, config=config, plan=plan, own_plan=plan)


def _check_what_learns(job: Job) -> None:
    """Check that something learns in each phase, and that a solved head learns as a whole."""
    network = job.network
    held = network.by_hand.held
    for phase in job.plan.phases:
        if not any(level > phase.frozen and part.weights.keys() - held for part, level in network.levels()):
            raise ConfigError(
                f"nothing is left to train in phase {phase.name!r}: {phase.frozen} stages are frozen by the plan, the "
                f"rest by hand",
                hint="leave some weights of the head trainable, or freeze fewer stages (transfer.freeze)",
            )
        if phase.solver != "exact":
            continue
        if frozen := held & network.head_parameters().keys():
            raise ConfigError(
                f"train.solver: exact computes the whole head, but {_few(sorted(frozen))} is frozen by hand",
                hint="do not freeze it, or use train.solver: sgd",
            )
        if network.by_hand.stages:
            raise ConfigError(
                "train.solver: exact needs cached features, but stages changed by hand are not cached",
                hint="use train.solver: sgd",
            )


def _check_outputs(job: Job) -> None:
    """Run two blank images through a network whose layers were changed."""
    network, size = job.network, job.preprocessing.image_size
    what, wanted = "; ".join(network.by_hand.layers), [2, len(job.data.classes)]
    try:
        with evaluating(network), paddle.no_grad():
            y = network(paddle.zeros([2, job.preprocessing.channels, size, size]))
    except ToolkitError:
        raise
    except Exception as error:  # user layers may raise anything
        reason = _reason(error)
        raise NetworkError(
            f"the network cannot run after the manual changes ({what}): {reason}",
            hint=f"stages must keep their output shape, and the head gets features [N, {network.feature_width}]",
        ) from error
    if not isinstance(y, Tensor) or list(y.shape) != wanted:
        given = list(y.shape) if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise NetworkError(
            f"the manually changed network ({what}) outputs {given} for 2 images, but the data need {wanted}",
            hint=f"end the head with {len(job.data.classes)} {job.objective.task.outputs}",
        )
    _check_scores(job, y.astype("float32").numpy(), what)


def _reason(error: Exception) -> str:
    """The informative line of an error: Paddle's start with a stack and end with advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("InvalidArgumentError", "(InvalidArgument)", "ValueError"))]
    return (telling or lines or [type(error).__name__])[0].partition(" [Hint")[0]


def _check_scores(job: Job, y: np.ndarray, what: str) -> None:
    """Check that the head outputs scores; losses and exports apply the activation themselves."""
    last = list(job.network.named_sublayers())[-1][1]
    sums_to_one = y.shape[1] > 1 and bool((y >= 0).all()) and bool(np.allclose(y.sum(axis=1), 1.0, atol=1e-5))
    activated = {"softmax": sums_to_one, "sigmoid": isinstance(last, nn.Sigmoid), "none": False}
    if activated[job.objective.task.activation]:
        raise NetworkError(
            f"the manually changed head ({what}) outputs probabilities, but the loss takes scores",
            hint="remove its last Softmax or Sigmoid: loss and export apply it",
        )


def _words(job: Job, before: int) -> list[str]:
    changes, network = job.network.by_hand, job.network
    lines = list(changes.layers)
    if changes.frozen is not None and job.plan.frozen != before:
        lines.append(f"trained with transfer.freeze: {changes.frozen} (the config's plan freezes {before} stages)")
    if changes.held:
        named = _few(sorted(changes.held))
        more = len(network.held_state()) - len(changes.held)
        words = f", and {more} statistics of their BatchNorm" if more else ""
        lines.append(f"{len(changes.held)} weights stay frozen: {named}{words}")
    if changes.evaluating:
        lines.append(f"{_few(sorted(changes.evaluating))} stays in evaluation mode")
    if changes.stages and job.l2_sp is not None:
        lines.append("train.l2_sp does not apply to weights added by hand")
    return lines


def _few(names: Collection[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_MOST_NAMED]) + (
        f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    )


def check_callback_changes(job: Job) -> None:
    """Check what callbacks did to the network: what they froze stays frozen for the rest of the run, with a message.

    Raises:
        TrainingError: They unfroze something or changed layers, which optimizer and features cannot follow.
    """
    network = job.network
    hint = "set it in the config (transfer.phases), or change the network before Trainer.fit"
    if network.frozen != network.planned:
        raise TrainingError(
            f"a callback called freeze({network.frozen}) in a phase that freezes {network.planned} stages", hint=hint
        )
    if network.has_other_parameters:
        raise TrainingError("a callback has put other layers or weights into the network", hint=hint)
    freezing = _freezing(network, 0)
    if freezing.freed:
        raise TrainingError(f"a callback unfroze {_few(sorted(freezing.freed))} while it is frozen", hint=hint)
    still = set(network.modes_by_hand()[0])
    if freezing.stilled or still:
        network.hold(network.by_hand.held | freezing.stilled.keys(), network.by_hand.evaluating | still)
        info(f"a callback keeps {_few(sorted({*freezing.stilled, *still}))} as it is from here on")


def put_back(network: StagedNetwork, state: TrainingState) -> None:
    """Restore the network to a saved state.

    Raises:
        TrainingError: The state belongs to another network.
    """
    here = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    there = {key: tuple(value.shape) for key, value in state.weights.items()}
    if differing := [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]:
        key = differing[0]
        has, had = (str(list(shapes[key])) if key in shapes else "not there" for shapes in (here, there))
        raise TrainingError(
            f"the checkpoint belongs to another network: {len(differing)} arrays differ, {key} is {had} in it and "
            f"{has} here",
            hint="repeat manual changes to the network before Trainer.fit(resume=...)",
        )
    if (held := frozenset(state.held)) != network.by_hand.held or set(state.evaluating) != network.by_hand.evaluating:
        info(f"held by hand, as in the checkpoint: {_few(sorted({*held, *state.evaluating})) or 'nothing'}")
        network.hold(held, state.evaluating)
    network.set_state_dict(state.weights)
