"""Requests for advice: images, their labels if any, and a network to start from."""

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
class AdviceRequest:
    """Images to train a network on.

    Attributes:
        name: Display name.
        network: Name of the network.
        pretrained: Source of its weights: True, a file or a URL.
        images: The training images.
        labelled: False if there are no labels; those of ``images`` are then meaningless.
        task: What the labels are.
        classes: Names of the classes, labels or targets.
        preprocessing: Preprocessing for the network's input.
        in_channels: As in the config.
        obstacle: Why the images cannot be used for training; None if they can.
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


def request_of(config: Config, *, table: bool = True, like: AdviceRequest | None = None) -> AdviceRequest:
    """Make a request from the training images of a config.

    Images that cannot be used for training, because they are too few or of a single class, can still be measured.

    Args:
        config: The job.
        table: Show how many images each class has.
        like: A request with the same data and another network, whose images are used instead of reading them again.

    Raises:
        ConfigError: The config starts from random weights.
        ToolkitError: Another option does not suit the data or the network.
    """
    weights = weights_of(config)
    spec = get_spec(config.model.name)
    channels = config.model.in_channels or _RGB
    images, classes, crop, obstacle = (
        _read(config, channels, table=table)
        if like is None
        else (like.images, like.classes, like.preprocessing.crop_ratio, like.obstacle)
    )
    mean, std = normalisation(config.data, spec.mean, spec.std, channels)
    size = config.data.image_size or spec.input_size
    return AdviceRequest(
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
    """Return the source of a config's pretrained weights: True, a file or a URL; trains a source task if necessary.

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
    """Return training images, classes, crop, and why they cannot be used for training, or None."""
    data, task = config.data, config.task
    try:
        bundle = build_data(data, task, channels, config.cache.dir.expanduser() / "checked")
    except DataError as error:
        facts = FORMATS[data.format]
        source = facts.readers[task](data)
        source = source.only(data.classes) if data.classes is not None else source
        splits = drop_or_refuse_bad_files(
            {"train": source.splits["train"].with_channels(channels).with_decoding(Decoding.of(data))},
            data.on_bad_image == "skip",
            data.timeout,
        )
        if not len(splits["train"]):
            raise
        return splits["train"], source.classes, data.crop_ratio or facts.crop_ratio, error.message
    if table:
        show(data_table(bundle))
    return bundle.train, bundle.classes, bundle.crop_ratio, None


def unlabelled_request(
    paths: Sequence[Path],
    network: str,
    pretrained: bool | str | Path = True,
    data: DataConfig | None = None,
    in_channels: int | None = None,
) -> AdviceRequest:
    """Make a request from images without labels.

    Args:
        paths: The files; unreadable ones are skipped with a warning.
        network: Name of a network.
        pretrained: Source of its weights.
        data: Preprocessing: ``image_size``, ``crop_ratio``, ``mean`` and ``std`` are used; by default the network's.
        in_channels: As in the config.

    Raises:
        ConfigError: ``data.mean`` or ``data.std`` has the wrong number of channels.
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
    return AdviceRequest(name, spec.name, pretrained, sound, False, "classification", (), preprocessing, in_channels)
