"""Learning rates that differ by stage, in the one way that works in ``paddle.Model`` and in a loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paddle.base.framework import EagerParamBase

__all__ = ["set_multipliers"]


def set_multipliers(
    parameters_by_stage: Sequence[Mapping[str, EagerParamBase]],
    multipliers: Sequence[float],
    head: Mapping[str, EagerParamBase] | None = None,
) -> None:
    """Give the parameters of each stage their share of the optimizer's learning rate.

    The share follows schedules and callbacks, and may be changed between two steps. (Parameter groups crash in
    ``paddle.Model``, which calls ``optimizer.minimize``.)

    Args:
        parameters_by_stage: State-dict key -> parameter, one mapping a stage, in forward order.
        multipliers: One number >= 0 a stage.
        head: Parameters of the head; they learn at the full rate.

    Raises:
        ValueError: The two sequences have different lengths.
    """
    for parameters, multiplier in zip(parameters_by_stage, multipliers, strict=True):
        for parameter in parameters.values():
            parameter.optimize_attr["learning_rate"] = float(multiplier)
    for parameter in (head or {}).values():
        parameter.optimize_attr["learning_rate"] = 1.0
