"""Build checked, split image sets from a ``DataConfig``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from toolkit.config import DataConfig
from toolkit.core.console import info
from toolkit.core.errors import ConfigError, DataError
from toolkit.core.names import listed
from toolkit.data.bit_depth import Decoding
from toolkit.data.bundle import DataBundle
from toolkit.data.channels import RGB
from toolkit.data.checks import (
    check_classes,
    check_columns,
    check_labels,
    check_targets,
    drop_or_refuse_bad_files,
)
from toolkit.data.duplicates import Copies, find_copies, warn_of_copies
from toolkit.data.formats.registry import FORMATS, FormatFacts, formats_for
from toolkit.data.images import ImageSet, Indices
from toolkit.data.source import Source
from toolkit.data.split import folds_by_class, limit_per_class, split_by_class
from toolkit.data.stratify import folds_by_labels, folds_by_targets, limit_per_label, split_by_labels, split_by_targets
from toolkit.tasks import TASKS, Output, TaskName

Splits: TypeAlias = Mapping[str, ImageSet]
Check: TypeAlias = Callable[[Sequence[str], Splits], None]
Split: TypeAlias = Callable[[Splits, Sequence[str], float, float, int, Copies], dict[str, ImageSet]]
Folds: TypeAlias = Callable[[ImageSet, Sequence[str], int, int, Copies], Indices]
Limit: TypeAlias = Callable[[ImageSet, Sequence[str], int, int, Copies], ImageSet]


@dataclass(frozen=True)
class _Rules:
    """What a task requires of its data.

    Attributes:
        split: Draws the splits that a data set lacks.
        limit: Keeps ``samples_per_class`` training images; None: does not apply to the task.
        folds: Assigns training images to folds.
        check: Runs before the split and refuses data that cannot be split or learned.
        check_split: Runs after the split and refuses what only then shows.
    """

    split: Split
    limit: Limit | None
    folds: Folds
    check: Check
    check_split: Check | None = None


_RULES: Mapping[Output, _Rules] = MappingProxyType(
    {
        "class": _Rules(split_by_class, limit_per_class, folds_by_class, check_classes),
        "label": _Rules(split_by_labels, limit_per_label, folds_by_labels, check_columns, check_labels),
        "target": _Rules(split_by_targets, None, folds_by_targets, check_columns, check_targets),
    }
)


def build_data(
    config: DataConfig, task: TaskName = "classification", channels: int = RGB, cache: Path | None = None
) -> DataBundle:
    """Read, check and split a data set.

    The order is: read, keep ``classes``, drop training images of weight 0, check every file, draw missing splits
    (``val``, and ``test`` if ``test_fraction`` > 0) from the training images, and limit training to
    ``samples_per_class``. Files with identical bytes always go to the same split.

    Args:
        config: The ``data`` section.
        task: What the labels are.
        channels: Channels of the images, >= 1: 1 is gray, 3 is RGB; any other number must match the files.
        cache: Folder for the results of the file check; None: decode every file again.

    Returns:
        The image sets and their facts.

    Raises:
        ConfigError: The format does not support the task, or ``samples_per_class`` does not apply to it.
        DataError: Data is missing, unreadable, or insufficient.

    Example:
        >>> from toolkit.config import DataConfig
        >>> data = build_data(DataConfig(format="digits", samples_per_class=10))
        >>> len(data.train), data.classes[:3]
        (100, ('0', '1', '2'))
    """
    facts, rules = FORMATS[config.format], _RULES[TASKS[task].outputs]
    _refuse_misfits(config, task, facts, rules)
    source = facts.readers[task](config)
    if config.classes is not None:
        source = source.only(config.classes)
    source = _without_weightless(config, source)
    decoding = Decoding.of(config)
    splits: Splits = {
        split: images.with_channels(channels).with_decoding(decoding) for split, images in source.splits.items()
    }
    sound = drop_or_refuse_bad_files(splits, config.on_bad_image == "skip", config.timeout, cache)
    source = replace(source, splits=sound)
    rules.check(source.classes, source.splits)
    copies, seed = find_copies(source.splits, config.timeout), config.split_seed
    drawn = rules.split(source.splits, source.classes, config.val_fraction, config.test_fraction, seed, copies)
    if rules.check_split is not None:
        rules.check_split(source.classes, drawn)
    warn_of_copies(source.classes, drawn, copies)
    if config.samples_per_class is not None and rules.limit is not None:
        drawn["train"] = rules.limit(drawn["train"], source.classes, config.samples_per_class, seed, copies)
    if config.fold is not None:
        drawn = _one_fold(config.fold, rules, drawn["train"], source.classes, seed, copies)
    return DataBundle(
        train=drawn["train"],
        val=drawn["val"],
        test=drawn.get("test"),
        classes=source.classes,
        crop_ratio=facts.crop_ratio if config.crop_ratio is None else config.crop_ratio,
        flip=facts.flip if config.flip == "auto" else config.flip,
        content=facts.content,
        task=task,
    )


def _one_fold(
    fold: str, rules: _Rules, images: ImageSet, classes: Sequence[str], seed: int, copies: Copies
) -> dict[str, ImageSet]:
    """Split the training images for one fold of a cross-validation; other images take no part."""
    number, folds = map(int, fold.split("/"))
    owner = rules.folds(images, classes, folds, seed, copies)
    held_out = owner == number - 1
    if not held_out.any():
        raise DataError(
            f"data.fold {fold}: {len(images)} training images are too few for {folds} folds",
            hint="use fewer folds, or add images",
        )
    info(f"fold {fold} of the training images: {(~held_out).sum()} to train on, {held_out.sum()} held out")
    parts = {"train": np.flatnonzero(~held_out), "val": np.flatnonzero(held_out)}
    return {split: images.part(rows) for split, rows in parts.items()}


def _without_weightless(config: DataConfig, source: Source) -> Source:
    """Drop training images of weight 0: they have no effect, here or later."""
    images = source.splits["train"]
    if images.weights is None or images.weights.all():
        return source
    counting = np.flatnonzero(images.weights)
    if not len(counting):
        raise DataError(
            f"data.weight_column {config.weight_column!r}: all {len(images)} training images have weight 0",
            hint="give some of them a weight above 0",
        )
    if not source.has_rows:
        gone = sorted(set(images.labels.tolist()) - set(images.labels[counting].tolist()))
        if gone:
            raise DataError(
                f"data.weight_column {config.weight_column!r}: all training images of "
                f"{listed([repr(source.classes[index]) for index in gone])} have weight 0",
                hint="give some of them a weight above 0, or name the other classes in data.classes",
            )
    info(f"{len(images) - len(counting)} of {len(images)} training images have weight 0 and are left out")
    return replace(source, splits={**source.splits, "train": images.take(counting)})


def _refuse_misfits(config: DataConfig, task: TaskName, facts: FormatFacts, rules: _Rules) -> None:
    if task not in facts.readers:
        raise ConfigError(
            f"data.format {config.format} is for {' and '.join(facts.readers)}, not for {task}",
            hint=f"formats for {task}: {', '.join(formats_for(task))}",
        )
    if config.samples_per_class is not None and rules.limit is None:
        raise ConfigError(
            f"data.samples_per_class counts the images of a class, and {task} has none",
            hint="leave it out; a larger data.val_fraction leaves fewer training images",
        )
