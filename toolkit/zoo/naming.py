"""Stages by name."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.core.errors import NetworkError
from toolkit.zoo.lookup import nearest


def resolve_stage(network: str, names: Sequence[str], stage: int | str) -> int:
    """Number of stages up to and with the one meant.

    Args:
        network: Name of the network, for errors.
        names: Names of its stages in order.
        stage: A number of stages; a stage's name; the name of a group of stages (``layer3`` for the last of
            ``layer3.*``); ``all``; ``none``.

    Raises:
        NetworkError: There is no such stage; the hint lists those that there are.
    """
    stages = f"stages: none, {', '.join(names)}, all"
    if isinstance(stage, int):
        if not 0 <= stage <= len(names):
            raise NetworkError(f"{network} has {len(names)} stages, not {stage}", hint=stages)
        return int(stage)
    words = {"none": 0, "all": len(names)}
    if stage in words:
        return words[stage]
    found = [i for i, known in enumerate(names, 1) if known == stage or known.startswith(f"{stage}.")]
    if not found:
        raise NetworkError(f"{network} has no stage {stage!r}{nearest(stage, names)}", hint=stages)
    return found[-1]
