"""The 1000 ImageNet classes, in the order of a classifier's outputs."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Readable names of the 1000 classes of ILSVRC 2012, by class index."""
    lines = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition("\t")[2] for line in lines)
