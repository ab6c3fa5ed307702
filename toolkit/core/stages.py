"""The stages of a network: what every part of the toolkit knows of one, and which one a user means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.core.errors import ConfigError, ToolkitError
from toolkit.core.names import did_you_mean


@dataclass(frozen=True)
class StageInfo:
    """One stage of a backbone, as plain facts.

    Attributes:
        name: The stage's name, unique in its network (``layer3.0``).
        shape: Output shape of one sample without the batch axis, ``(C, H, W)`` or ``(D,)``.
        parameters: Number of weights in the stage (BatchNorm statistics not counted).
        batch_norm: It has BatchNorm layers.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    batch_norm: bool = False


def stage_indices(name: str, names: Sequence[str], where: str, error: type[ToolkitError] = ConfigError) -> list[int]:
    """Positions of a stage, or of the stages of a group (``layer3`` for ``layer3.0``, ``layer3.1``, ...).

    Args:
        name: What the user wrote.
        names: Stage names in forward order.
        where: Config key or network, for the message.
        error: What to raise.

    Raises:
        ToolkitError: No stage has this name.
    """
    found = [i for i, known in enumerate(names) if known == name or known.startswith(f"{name}.")]
    if not found:
        raise error(
            f"{where}: unknown stage {name!r}; the stages are {', '.join(names)}", hint=did_you_mean(name, names, 3)
        )
    return found


def stage_count(stage: int | str, names: Sequence[str], where: str, error: type[ToolkitError] = ConfigError) -> int:
    """Number of stages up to and with the one meant.

    Args:
        stage: A number from the bottom, a stage's or group's name, ``all`` or ``none``.
        names: Stage names in forward order.
        where: Config key or network, for the message.
        error: What to raise.

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
