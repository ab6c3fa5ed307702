"""Install a fitted head in a network, if that gives the same function."""

from __future__ import annotations

import numpy as np

from toolkit.core.errors import NetworkError
from toolkit.engine.solvers.solution import LinearSolution
from toolkit.tasks import TASKS
from toolkit.zoo import StagedNetwork
from toolkit.zoo.head import LinearHead


def check_exact_solver(network: StagedNetwork, frozen: int | None = None) -> None:
    """Reject networks whose head is not a linear function of fixed features.

    Args:
        network: The network.
        frozen: Number of frozen stages in the phase to solve; by default the currently frozen ones.

    Raises:
        NetworkError: A stage moves, the pooling learns or keeps all positions, or the head is not linear; the hint says
            what to set.
    """
    _linear_head(network, network.frozen if frozen is None else frozen)


def install_linear_solution(network: StagedNetwork, solution: LinearSolution) -> None:
    """Write a fitted head into a network, which then outputs the solution's values in float32 precision.

    For regression the head's ``target_mean`` and ``target_std`` are unchanged: the weights are put into their units.
    Existing optimizers have no state for the new weights.

    Args:
        network: A network with all stages frozen and a new linear head on fixed pooling.
        solution: Solution fitted on the pooled features of this network.

    Raises:
        NetworkError: See ``check_exact_solver``, or the solution has another task, width or number of outputs.
    """
    head = _linear_head(network, network.frozen)
    shape = tuple(head.weight.shape)
    if shape != solution.weight.shape or head.regression != TASKS[solution.task].predicts_numbers:
        kind = "regression" if head.regression else "classes or labels"
        raise NetworkError(
            f"a {solution.task} head of {solution.weight.shape} does not fit {network.spec.name}, "
            f"which has one of {shape} for {kind}",
            hint="fit it on the pooled features and the labels that the network was created for",
        )
    weight, bias = solution.weight.astype(np.float64), solution.bias.astype(np.float64)
    if head.regression:
        mean, std = (buffer.numpy().astype(np.float64) for buffer in (head.target_mean, head.target_std))
        weight, bias = weight / std, (bias - mean) / std
    if head.standardises:
        head.set_feature_statistics(np.zeros(shape[0]), 1.0)  # the solution is for unscaled features
    head.weight.set_value(weight.astype(np.float32))
    head.bias.set_value(bias.astype(np.float32))


def _linear_head(network: StagedNetwork, frozen: int) -> LinearHead:
    stages, name = len(network.stage_names), network.spec.name
    if frozen < stages:
        raise NetworkError(
            f"the exact solver is for phases with all stages frozen; "
            f"here {stages - frozen} of {stages} stages of {name} move",
            hint="set transfer.preset: linear_probe or transfer.freeze: all, or train.solver: sgd",
        )
    if not network.pool_is_fixed:
        raise NetworkError(
            f"the exact solver needs features that are pooled once, but model.pooling is {network.pooling}",
            hint="set model.pooling: avg or max, or train.solver: sgd",
        )
    learned = set(network.head_parameters())
    for path, layer in network.named_sublayers():
        if isinstance(layer, LinearHead) and learned == {f"{path}.weight", f"{path}.bias"}:
            return layer
    raise NetworkError(
        f"the exact solver fits linear heads, but {name} has another one: {', '.join(sorted(learned))}",
        hint="set model.head.type: linear, or train.solver: sgd",
    )
