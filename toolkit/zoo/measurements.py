"""Measurements of every network, in ``measured.txt``, so that listing the zoo builds none of them.

``python -m toolkit.zoo.remeasure`` writes the file; a test measures again and fails if it is out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

from toolkit.core.files import write_text

MEASURED_PATH = Path(__file__).with_name("measured.txt")


@dataclass(frozen=True)
class Measured:
    """One network with its own classifier, for one image of its native size.

    Attributes:
        parameters: Number of trainable weights.
        macs: Multiply-accumulates.
        stages: Number of stages.
        image_size: Side of the image in pixels.
    """

    parameters: int
    macs: int
    stages: int
    image_size: int


@cache
def measured_networks() -> Mapping[str, Measured]:
    """The measurements in the file, by network name."""
    return _read(MEASURED_PATH)


def _read(path: Path) -> dict[str, Measured]:
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:])
    return {name: Measured(*map(int, numbers)) for name, *numbers in rows}


def write_measured(rows: Mapping[str, Measured], path: Path = MEASURED_PATH) -> None:
    """Write the file atomically, sorted by name."""
    header = "\t".join(("name", *(field.name for field in fields(Measured))))
    lines = ["\t".join(map(str, (name, *astuple(rows[name])))) for name in sorted(rows)]
    write_text(path, "\n".join([header, *lines]) + "\n")
    measured_networks.cache_clear()
