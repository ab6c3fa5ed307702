"""Learning rates per stage, as a factor on each parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paddle.base.framework import EagerParamBase

_OWN = "learning_rate_of_the_network"


def set_multipliers(
    parameters_by_stage: Sequence[Mapping[str, EagerParamBase]],
    multipliers: Sequence[float],
    head: Mapping[str, EagerParamBase] | None = None,
) -> None:
    """Give the parameters of each stage their share of the optimizer's learning rate.

    The share follows schedules and callbacks, and may change between two steps: an optimizer reads the factor at every
    step. Parameter groups would fix it when the optimizer is made, and overwrite what a network sets itself: a factor
    that a network sets for some of its own parameters, as PP-HGNetV2 does, is applied on top of that share.

    Args:
        parameters_by_stage: State-dict key -> parameter, one mapping per stage, in forward order.
        multipliers: One number >= 0 per stage.
        head: Parameters of the head; they learn at the full rate.

    Raises:
        ValueError: The two sequences have different lengths.
    """
    for parameters, multiplier in zip(parameters_by_stage, multipliers, strict=True):
        for parameter in parameters.values():
            _set(parameter, float(multiplier))
    for parameter in (head or {}).values():
        _set(parameter, 1.0)


def _set(parameter: EagerParamBase, multiplier: float) -> None:
    attributes = parameter.optimize_attr
    own = attributes.setdefault(_OWN, attributes.get("learning_rate", 1.0))
    attributes["learning_rate"] = own * multiplier
