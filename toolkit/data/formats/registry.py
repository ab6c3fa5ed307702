"""The registry of data formats, one row per format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from toolkit.config import DataConfig
from toolkit.data.augmentation import Content, Flip
from toolkit.data.formats import (
    read_csv,
    read_cub200,
    read_digits,
    read_digits_as_numbers,
    read_folder,
    read_list,
    read_paddle_set,
    read_vector_list,
)
from toolkit.data.source import Source
from toolkit.tasks import TASKS, TaskName

Reader: TypeAlias = Callable[[DataConfig], Source]


@dataclass(frozen=True)
class FormatFacts:
    """One data format.

    Attributes:
        readers: Reader by task; tasks that are missing here are not supported.
        content: What its images show, for augmentation.
        crop_ratio: Evaluation: centre crop as a fraction of the short side.
        flip: Mirroring that does not change the class.
    """

    readers: Mapping[TaskName, Reader]
    content: Content = "photo"
    crop_ratio: float = 0.875
    flip: Flip = "horizontal"


def _classes(reader: Reader) -> Mapping[TaskName, Reader]:
    return {name: reader for name, task in TASKS.items() if task.one_class_per_image}


def _rows(reader: Callable[..., Source]) -> Mapping[TaskName, Reader]:
    return {name: partial(reader, task=name) for name, task in TASKS.items() if task.labels_are_rows}


FORMATS: Mapping[str, FormatFacts] = MappingProxyType(
    {
        "folder": FormatFacts(_classes(read_folder)),
        "cub200": FormatFacts(_classes(read_cub200)),
        "list": FormatFacts({**_classes(read_list), **_rows(read_vector_list)}),
        "csv": FormatFacts({task: partial(read_csv, task=task) for task in TASKS}),
        "digits": FormatFacts(
            {"classification": read_digits, "regression": read_digits_as_numbers},
            content="glyph",
            crop_ratio=1.0,
            flip="none",
        ),
        "cifar10": FormatFacts(_classes(read_paddle_set), content="tiny", crop_ratio=1.0),
        "cifar100": FormatFacts(_classes(read_paddle_set), content="tiny", crop_ratio=1.0),
        "mnist": FormatFacts(_classes(read_paddle_set), content="glyph", crop_ratio=1.0, flip="none"),
        "fashion_mnist": FormatFacts(_classes(read_paddle_set), content="tiny", crop_ratio=1.0),
        "flowers102": FormatFacts(_classes(read_paddle_set)),
    }
)


def formats_for(task: TaskName) -> tuple[str, ...]:
    """Return the names of the formats that support a task."""
    return tuple(name for name, facts in FORMATS.items() if task in facts.readers)
