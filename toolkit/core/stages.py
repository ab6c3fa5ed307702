"""The stages of a network: their description, and how to resolve one from user input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.core.errors import ConfigError, ToolkitError
from toolkit.core.names import did_you_mean


@dataclass(frozen=True)
class StageInfo:
    """One stage of a backbone, as plain data.

    Attributes:
        name: The stage's name, unique in its network (``layer3.0``).
        shape: Output shape of one sample without the batch axis, ``(C, H, W)`` or ``(D,)``.
        parameters: Number of weights in the stage (BatchNorm statistics not counted).
        batch_norm: Whether the stage has BatchNorm layers.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    batch_norm: bool = False


def stage_indices(name: str, names: Sequence[str], where: str, error: type[ToolkitError] = ConfigError) -> list[int]:
    """Indices of a stage, or of the stages in a group (``layer3`` for ``layer3.0``, ``layer3.1``, ...).

    Args:
        name: Stage or group name as the user wrote it.
        names: Stage names in forward order.
        where: Config key or network, for the error message.
        error: Error class to raise.

    Raises:
        ToolkitError: No stage has this name.
    """
    indices = [i for i, known in enumerate(names) if known == name or known.startswith(f"{name}.")]
    if not indices:
        raise error(
            f"{where}: unknown stage {name!r}; the stages are {', '.join(names)}", hint=did_you_mean(name, names, 3)
        )
    return indices


def head_stage_indices(
    wanted: str | Sequence[str], names: Sequence[str], where: str, error: type[ToolkitError] = ConfigError
) -> tuple[int, ...]:
    """Indices of the stages whose pooled features a head reads.

    Args:
        wanted: ``last``, ``upper_half``, ``all``, or names of stages or groups.
        names: Names of the kept stages in forward order, at least one.
        where: Config key or network, for the error message.
        error: Error class to raise.

    Returns:
        Ascending indices; () if the head reads the last stage alone, as heads usually do.

    Raises:
        ToolkitError: No stage has one of the names.
    """
    total = len(names)
    if isinstance(wanted, str):
        found = set(range({"last": total - 1, "upper_half": total // 2, "all": 0}[wanted], total))
    else:
        found = {index for name in wanted for index in stage_indices(name, names, where, error)}
    return () if found == {total - 1} else tuple(sorted(found))


def stage_count(stage: int | str, names: Sequence[str], where: str, error: type[ToolkitError] = ConfigError) -> int:
    """Number of stages up to and including the given one.

    Args:
        stage: A count from the input side, a stage's or group's name, ``all`` or ``none``.
        names: Stage names in forward order.
        where: Config key or network, for the error message.
        error: Error class to raise.

    Returns:
        A number in [0, len(names)].

    Raises:
        ToolkitError: The stage does not exist, or the number is out of range.
    """
    words = {"all": len(names), "none": 0}
    if isinstance(stage, str):
        return words[stage] if stage in words else stage_indices(stage, names, where, error)[-1] + 1
    if not 0 <= stage <= len(names):
        raise error(
            f"{where}: {stage} is not a number of stages; expected 0 to {len(names)}",
            hint=f"the stages are {', '.join(names)}",
        )
    return stage
