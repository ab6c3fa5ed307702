"""What a user made by hand between ``build_job`` and ``Trainer.fit``: the run takes it, and says so, or refuses it."""

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
    """Refuse a network that cannot be trained in stages.

    Raises:
        NetworkError: It is another one than ``build_job`` makes.
    """
    if not isinstance(job.network, StagedNetwork):
        raise NetworkError(
            f"the job's network is a {type(job.network).__name__}; a trainer needs the network that build_job made",
            hint="put layers of your own into that one, for instance as its head",
        )


def adopt(job: Job) -> Job:
    """The job as it is after what was changed in its network by hand; the same where nothing was.

    Parameters are looked up again, so that a head of one's own learns at the head's rate. A freeze set by hand becomes
    ``transfer.freeze``; weights that were frozen one by one are held in all phases.

    Args:
        job: The job.

    Returns:
        The job, with config, plan and stages of the network as it is now, and a line in ``by_hand`` on each change.

    Raises:
        NetworkError: What was changed cannot run or be trained.
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
    """How freezing differs from what was last set: keys, each with the number of stages that freezes it.

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
            fresh = key in network.by_hand.weights and level > plan_frozen  # a phase to come moves it
            if weight.stop_gradient and not frozen:
                stilled[key] = level
            elif not weight.stop_gradient and frozen and not fresh:
                freed[key] = level
    return _Freezing(stilled, freed)


def _read_freezing(job: Job) -> tuple[set[str], int | None]:
    """Keys of weights to hold, and how many stages are frozen by hand; None: as many as the plan says."""
    network = job.network
    found, frozen = _freezing(network, job.plan.frozen), network.frozen
    levels = {key: level for part, level in network.levels() for key in part.weights}
    stopped = {key for part, _ in network.levels() for key, weight in part.weights.items() if weight.stop_gradient}
    held = ((set(network.by_hand.held) & levels.keys()) | found.stilled.keys()) - found.freed.keys()
    lower = [level for level in found.freed.values() if level <= frozen]
    count = min(lower) - 1 if lower else frozen
    rest = {key for key in stopped if count < levels[key] <= frozen}
    if rest and len({phase.frozen for phase in job.plan.phases}) > 1:
        raise ConfigError(
            f"{_few(sorted(found.freed))} learns by hand where the plan freezes whole stages in one of several phases",
            hint="set transfer.head_first: 0, or unfreeze whole stages from the top",
        )
    held |= rest
    if found.stilled and not lower:
        moving = [level for key, level in levels.items() if level > frozen and key not in held]
        stages = min(moving, default=len(job.stages) + 1) - 1
        if any(frozen < level <= stages for level in levels.values()):
            count = min(stages, len(job.stages))
    held = {key for key in held if levels[key] > count}
    return held, network.by_hand.frozen if count == frozen else count


def _in_evaluation(still: list[str], training: list[str]) -> list[str]:
    """Paths of layers that somebody put into evaluation; see ``modes_by_hand``."""
    if training:
        raise ConfigError(
            f"{_few(training)} was put into training mode by hand, but the plan keeps its statistics",
            hint="set transfer.batch_norm: train, and transfer.freeze for stages that are to move",
        )
    return still


def _planned(job: Job) -> Job:
    """The job with a freeze set by hand as ``transfer.freeze``, and with the rates for the head that is there."""
    frozen, config = job.network.by_hand.frozen, job.config
    if frozen is not None and frozen != config.transfer.freeze and frozen != job.plan.frozen:
        if config.transfer.phases:
            raise ConfigError(
                f"{frozen} stages are frozen by hand, but transfer.phases says what is frozen when",
                hint="set freeze in each of transfer.phases",
            )
        config = with_overrides(config, transfer={"freeze": frozen})
    elif not job.network.by_hand.head:
        return job
    if job.plan != job.own_plan:
        if config is job.config:
            return job
        raise ConfigError(
            f"{frozen} stages are frozen by hand, but the job has a plan of its own, which freezes {job.plan.frozen}",
            hint=f"set transfer.freeze: {frozen} before build_job",
        )
    plan = plan_of(config, job.all_stages, dense_head(job.network))
    return replace(job, config=config, plan=plan, own_plan=plan)


def _check_what_learns(job: Job) -> None:
    """In each phase something must, and a solved head as a whole."""
    network = job.network
    held = network.by_hand.held
    for phase in job.plan.phases:
        if not any(level > phase.frozen and part.weights.keys() - held for part, level in network.levels()):
            raise ConfigError(
                f"nothing is left to train in phase {phase.name!r}: {phase.frozen} stages are frozen by the plan, the "
                f"rest by hand",
                hint="leave some weights of the head as they are, or freeze fewer stages (transfer.freeze)",
            )
        if phase.solver != "exact":
            continue
        if frozen := held & network.head_parameters().keys():
            raise ConfigError(
                f"train.solver: exact computes the whole head, but {_few(sorted(frozen))} is frozen by hand",
                hint="leave it as it is, or use train.solver: sgd",
            )
        if network.by_hand.stages:
            raise ConfigError(
                "train.solver: exact works on kept features, which are not kept for stages that were changed by hand",
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
    except Exception as error:  # whatever layers of the user's own raise
        reason = _reason(error)
        raise NetworkError(
            f"the network cannot compute as it was changed by hand ({what}): {reason}",
            hint=f"stages keep the shape of their output, and the head gets features [N, {network.feature_width}]",
        ) from error
    if not isinstance(y, Tensor) or list(y.shape) != wanted:
        given = list(y.shape) if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise NetworkError(
            f"the network as it was changed by hand ({what}) gives {given} for 2 images, but the data need {wanted}",
            hint=f"end the head with {len(job.data.classes)} {job.objective.task.outputs}",
        )
    _check_scores(job, y.astype("float32").numpy(), what)


def _reason(error: Exception) -> str:
    """The line of an error that says something: Paddle's begin with a stack and end with advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("InvalidArgumentError", "(InvalidArgument)", "ValueError"))]
    return (said or lines or [type(error).__name__])[0].partition(" [Hint")[0]


def _check_scores(job: Job, y: np.ndarray, what: str) -> None:
    """Losses and exports apply the activation themselves."""
    last = list(job.network.named_sublayers())[-1][1]
    sums_to_one = y.shape[1] > 1 and bool((y >= 0).all()) and bool(np.allclose(y.sum(axis=1), 1.0, atol=1e-5))
    activated = {"softmax": sums_to_one, "sigmoid": isinstance(last, nn.Sigmoid), "none": False}
    if activated[job.objective.task.activation]:
        raise NetworkError(
            f"the head as it was changed by hand ({what}) gives probabilities, but the loss takes scores",
            hint="leave its last Softmax or Sigmoid out: loss and export apply it",
        )


def _words(job: Job, before: int) -> list[str]:
    changes, network = job.network.by_hand, job.network
    lines = list(changes.layers)
    if changes.frozen is not None and job.plan.frozen != before:
        lines.append(f"trained as transfer.freeze: {changes.frozen} says (the config's plan freezes {before} stages)")
    if changes.held:
        named = _few(sorted(changes.held))
        more = len(network.held_state()) - len(changes.held)
        words = f", and {more} statistics of their BatchNorm" if more else ""
        lines.append(f"{len(changes.held)} weights stay as they are: {named}{words}")
    if changes.evaluating:
        lines.append(f"{_few(sorted(changes.evaluating))} stays in evaluation mode")
    if changes.stages and job.l2_sp is not None:
        lines.append("train.l2_sp pulls no weight that was put in by hand")
    return lines


def _few(names: Collection[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_MOST_NAMED]) + (
        f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    )


def heed_callbacks(job: Job) -> None:
    """Look what callbacks did to the network: what they froze stays so for the rest of the run, and it is said.

    Raises:
        TrainingError: They unfroze something or changed layers, of which optimizer and features know nothing.
    """
    network = job.network
    cure = "say it in the config (transfer.phases), or change the network before Trainer.fit"
    if network.frozen != network.planned:
        raise TrainingError(
            f"a callback called freeze({network.frozen}) in a phase that freezes {network.planned} stages", hint=cure
        )
    if network.has_other_parameters:
        raise TrainingError("a callback has put other layers or weights into the network", hint=cure)
    found = _freezing(network, 0)
    if found.freed:
        raise TrainingError(f"a callback unfroze {_few(sorted(found.freed))} while it is frozen", hint=cure)
    still = set(network.modes_by_hand()[0])
    if found.stilled or still:
        network.hold(network.by_hand.held | found.stilled.keys(), network.by_hand.evaluating | still)
        info(f"a callback keeps {_few(sorted({*found.stilled, *still}))} as it is from here on")


def put_back(network: StagedNetwork, state: TrainingState) -> None:
    """Make the network what it was when a state was taken.

    Raises:
        TrainingError: The state is one of another network.
    """
    here = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    there = {key: tuple(value.shape) for key, value in state.weights.items()}
    if differing := [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]:
        key = differing[0]
        has, had = (str(list(each[key])) if key in each else "not there" for each in (here, there))
        raise TrainingError(
            f"the checkpoint is one of another network: {len(differing)} arrays differ, {key} is {had} in it and "
            f"{has} here",
            hint="a network that was changed by hand must be changed so again before Trainer.fit(resume=...)",
        )
    if (held := frozenset(state.held)) != network.by_hand.held or set(state.evaluating) != network.by_hand.evaluating:
        info(f"held by hand, as in the checkpoint: {_few(sorted({*held, *state.evaluating})) or 'nothing'}")
        network.hold(held, state.evaluating)
    network.set_state_dict(state.weights)
