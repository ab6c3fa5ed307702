"""From what a user writes for a stage — a number, a name, ``all`` or ``none`` — to a number of stages."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from toolkit.core.errors import ConfigError


def share_of(fraction: float, total: int) -> int:
    """Number of stages that a preset's fraction means.

    Args:
        fraction: In [0, 1].
        total: Number of stages, at least 1.

    Returns:
        The fraction rounded to whole stages, halves up; less than all of them while the fraction is less than 1.
    """
    if fraction >= 1:
        return total
    return min(int(fraction * total + 0.5), total - 1)


def indices_of(name: str, names: Sequence[str], key: str) -> list[int]:
    """Positions of a stage, or of the stages of a group (``layer3`` for ``layer3.0``, ``layer3.1``, ...).

    Args:
        name: What the user wrote.
        names: Stage names in forward order.
        key: Config key, for the message.

    Raises:
        ConfigError: No stage has this name.
    """
    found = [i for i, known in enumerate(names) if known == name or known.startswith(f"{name}.")]
    if not found:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        raise ConfigError(
            f"{key}: unknown stage {name!r}; the stages are {', '.join(names)}",
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    return found


def count_of(stage: int | str, names: Sequence[str], key: str) -> int:
    """Number of stages up to and with the one meant.

    Args:
        stage: A number from the bottom, a stage's or group's name, ``all`` or ``none``.
        names: Stage names in forward order.
        key: Config key, for the message.

    Returns:
        A number in [0, len(names)].

    Raises:
        ConfigError: The stage does not exist, or the number is out of range.
    """
    words = {"all": len(names), "none": 0}
    if isinstance(stage, str):
        return words[stage] if stage in words else indices_of(stage, names, key)[-1] + 1
    if not 0 <= stage <= len(names):
        raise ConfigError(
            f"{key}: {stage} is not a number of stages; expected 0 to {len(names)}",
            hint=f"the stages are {', '.join(names)}",
        )
    return stage
