"""What advice is about: images, their labels where there are some, and a network to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.config import Config, DataConfig, SourceConfig
from toolkit.core.console import show
from toolkit.core.errors import ConfigError, DataError
from toolkit.data import FileImages, ImageSet, Preprocessing, build_data, normalisation
from toolkit.data.bit_depth import Decoding
from toolkit.data.checks import drop_or_refuse_bad_files
from toolkit.data.formats.registry import FORMATS
from toolkit.data.summary import data_table
from toolkit.engine.source import train_source
from toolkit.tasks import TaskName
from toolkit.zoo import get_spec

_RGB = 3


@dataclass(frozen=True)
class Subject:
    """Images that a network is to learn.

    Attributes:
        name: What a person calls it.
        network: Name of a network.
        pretrained: Where its weights come from: True, a file or a URL.
        images: The training images.
        labelled: False where there are no labels; those of ``images`` then mean nothing.
        task: What the labels are.
        classes: Names of the classes, labels or targets.
        preprocessing: From an image to the network's input.
        in_channels: As in the config.
        obstacle: Why it cannot be trained on as it is; None when it can.
    """

    name: str
    network: str
    pretrained: bool | str | Path
    images: ImageSet
    labelled: bool
    task: TaskName
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    in_channels: int | None = None
    obstacle: str | None = None

    @property
    def labels(self) -> NDArray[Any] | None:
        """Labels of all images, or None."""
        return self.images.labels if self.labelled else None


def subject_of(config: Config, *, table: bool = True) -> Subject:
    """What a config is about: its training images.

    Images that cannot be trained on, as there are too few of them or of one class only, can still be looked at.

    Args:
        config: The job.
        table: Show how many images each class has.

    Raises:
        ConfigError: The config starts from random weights.
        ToolkitError: Anything else in the config that does not fit the data or the network.
    """
    weights = weights_of(config)
    spec = get_spec(config.model.name)
    channels = config.model.in_channels or _RGB
    images, classes, crop, obstacle = _read(config, channels, table=table)
    mean, std = normalisation(config.data, spec.mean, spec.std, channels)
    size = config.data.image_size or spec.input_size
    return Subject(
        name=config.name,
        network=spec.name,
        pretrained=weights,
        images=images,
        labelled=True,
        task=config.task,
        classes=classes,
        preprocessing=Preprocessing(size, crop, mean, std, Decoding.of(config.data)),
        in_channels=config.model.in_channels,
        obstacle=obstacle,
    )


def weights_of(config: Config) -> bool | str | Path:
    """Where a config's pretrained weights come from: True, a file or a URL; a source task is trained if need be.

    Raises:
        ConfigError: The config starts from random weights.
        ToolkitError: The source task cannot be trained.
    """
    if config.model.pretrained is False:
        raise ConfigError(
            "advice is about how to use pretrained weights, but model.pretrained is false",
            hint="set model.pretrained, or train with transfer.preset: scratch",
        )
    wanted = config.model.pretrained
    return train_source(config, wanted).best if isinstance(wanted, SourceConfig) else wanted


def _read(config: Config, channels: int, *, table: bool) -> tuple[ImageSet, tuple[str, ...], float, str | None]:
    """Training images, classes, crop, and why they cannot be trained on."""
    data, task = config.data, config.task
    try:
        bundle = build_data(data, task, channels, config.cache.dir.expanduser() / "checked")
    except DataError as error:
        facts = FORMATS[data.format]
        source = facts.readers[task](data)
        source = source.only(data.classes) if data.classes is not None else source
        parts = drop_or_refuse_bad_files(
            {"train": source.splits["train"].with_channels(channels).with_decoding(Decoding.of(data))},
            data.on_bad_image == "skip",
            data.timeout,
        )
        if not len(parts["train"]):
            raise
        return parts["train"], source.classes, data.crop_ratio or facts.crop_ratio, error.message
    if table:
        show(data_table(bundle))
    return bundle.train, bundle.classes, bundle.crop_ratio, None


def unlabelled(
    paths: Sequence[Path],
    network: str,
    pretrained: bool | str | Path = True,
    data: DataConfig | None = None,
    in_channels: int | None = None,
) -> Subject:
    """Images without labels.

    Args:
        paths: The files; those that cannot be read are left out, with a warning.
        network: Name of a network.
        pretrained: Where its weights come from.
        data: How images are prepared: ``image_size``, ``crop_ratio``, ``mean`` and ``std`` count; by default as the
            network wants them.
        in_channels: As in the config.

    Raises:
        ConfigError: ``data.mean`` or ``data.std`` has another number of channels.
        DataError: No image can be read.
    """
    spec, data, channels = get_spec(network), data or DataConfig(), in_channels or _RGB
    images = FileImages([str(path) for path in paths], np.zeros(len(paths), np.int64)).with_channels(channels)
    images = images.with_decoding(Decoding.of(data))
    sound = drop_or_refuse_bad_files({"train": images}, skip=True)["train"]
    if not len(sound):
        raise DataError(f"none of the {len(paths)} images can be read", hint="give .jpg, .png, ... files")
    mean, std = normalisation(data, spec.mean, spec.std, channels)
    crop = data.crop_ratio or FORMATS[data.format].crop_ratio
    decoding = Decoding.of(data)
    preprocessing = Preprocessing(data.image_size or spec.input_size, crop, mean, std, decoding)
    name = paths[0].parent.name or "images"
    return Subject(name, spec.name, pretrained, sound, False, "classification", (), preprocessing, in_channels)
