"""Regularisers in the calibration: what is tried on top of a preset, and what the pairs of runs show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.calibrate import key_of
from toolkit.advise.choose import HEAD_ALONE
from toolkit.advise.thresholds import Regulariser

__all__ = ["OPTIONS", "TRIED", "derive_regularisers", "regulariser_table"]

OPTIONS: dict[str, str] = {
    "label_smoothing": "train.label_smoothing=0.1",
    "mixup": "train.mixup=0.2",
    "l2_sp": "train.l2_sp=0.01",
    "weight_averaging": "callbacks.weight_averaging=ema",
    "tta": "train.tta=4",
}
"""Name of a regulariser -> the option that enables it."""
TRIED = {"linear_probe": ("label_smoothing", "tta"), "last_stages": tuple(OPTIONS)}
"""Preset -> regularisers tried on top of it; such a run is called ``last_stages + mixup``."""
_FEWEST = 8


def derive_regularisers(rows: Iterable[Mapping[str, Any]]) -> tuple[Regulariser, ...]:
    """The gain of each regulariser over all pairs of runs that differ only in it.

    Args:
        rows: Lines of ``calibration.jsonl``.
    """
    runs = {(*key_of(row), row["seed"], row["preset"]): row for row in rows}
    gains: dict[tuple[str, bool], list[float]] = defaultdict(list)
    images: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for (*where, title), row in runs.items():
        preset, _, name = title.partition(" + ")
        plain = runs.get((*where, preset))
        if name and plain is not None:
            kind = OPTIONS[name], preset in HEAD_ALONE
            gains[kind].append(float(row["score"]) - float(plain["score"]))
            images[kind].append(int(row["train_images"]))
    return tuple(
        Regulariser(
            option=option,
            head_alone=head_alone,
            gain=round(mean(found), 5),
            error=round(stdev(found) / math.sqrt(len(found)), 5),
            runs=len(found),
            least_images=min(images[option, head_alone]),
            most_images=max(images[option, head_alone]),
        )
        for (option, head_alone), found in sorted(gains.items())
        if len(found) >= _FEWEST
    )


def regulariser_table(found: Iterable[Regulariser]) -> list[str]:
    """Lines of Markdown."""
    return [
        "",
        "## Regularisers, compared with the same run without",
        "",
        "| option | on | gain (points) | standard error | pairs of runs | training images | advised |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{one.option}` | {'a head alone' if one.head_alone else 'fine-tuned stages'} | {100 * one.gain:+.2f} "
            f"| {100 * one.error:.2f} | {one.runs} | {one.least_images} to {one.most_images} "
            f"| {'yes' if one.pays else 'no'} |"
            for one in found
        ),
    ]
