"""From ``DataConfig`` to checked, split image sets."""

from __future__ import annotations

from dataclasses import replace

from toolkit.config import DataConfig
from toolkit.data.bundle import DataBundle
from toolkit.data.checks import check_classes, drop_or_refuse_bad_files, warn_of_duplicates
from toolkit.data.facts import FORMATS
from toolkit.data.split import limit_per_class, split_parts

__all__ = ["build_data"]


def build_data(config: DataConfig) -> DataBundle:
    """Read, check and split a data set.

    In this order: read, keep ``classes``, check every file, draw what has no part of its own (``val``, and ``test`` if
    ``test_fraction`` > 0) from the training images, limit training to ``samples_per_class``.

    Args:
        config: The ``data`` section.

    Returns:
        The image sets and their facts.

    Raises:
        DataError: Something is missing, unreadable, or too little.

    Example:
        >>> from toolkit.config import DataConfig
        >>> data = build_data(DataConfig(format="digits", samples_per_class=10))
        >>> len(data.train), data.classes[:3]
        (100, ('0', '1', '2'))
    """
    facts = FORMATS[config.format]
    source = facts.read(config)
    if config.classes is not None:
        source = source.only(config.classes)
    source = replace(source, parts=drop_or_refuse_bad_files(source.parts, skip=config.on_bad_image == "skip"))
    check_classes(source.classes, source.parts)
    parts = split_parts(source.parts, source.classes, config.val_fraction, config.test_fraction, config.split_seed)
    warn_of_duplicates(source.classes, parts)
    if config.samples_per_class is not None:
        parts["train"] = limit_per_class(parts["train"], source.classes, config.samples_per_class, config.split_seed)
    return DataBundle(
        train=parts["train"],
        val=parts["val"],
        test=parts.get("test"),
        classes=source.classes,
        crop_ratio=facts.crop_ratio if config.crop_ratio is None else config.crop_ratio,
        flip=facts.flip if config.flip == "auto" else config.flip,
        content=facts.content,
    )
