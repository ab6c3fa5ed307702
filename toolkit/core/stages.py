"""What every part of the toolkit knows about one step of a network."""

from __future__ import annotations

from dataclasses import dataclass


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
