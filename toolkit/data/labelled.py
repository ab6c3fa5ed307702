"""Labelled images for a trained network: a whole set, with its classes matched to the network's by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from toolkit.config import DataConfig
from toolkit.core.console import held_back, info, quietly
from toolkit.core.errors import DataError
from toolkit.core.names import listed, nearest, normal
from toolkit.data.bit_depth import DEFAULT, Decoding
from toolkit.data.channels import RGB
from toolkit.data.checks import drop_or_refuse_bad_files
from toolkit.data.formats.csv_file import read_one_split
from toolkit.data.formats.csv_table import read_table
from toolkit.data.formats.file_finder import Finder
from toolkit.data.formats.folder_tree import Folder, kind_of
from toolkit.data.formats.registry import FORMATS
from toolkit.data.images import ImageSet
from toolkit.data.source import Source
from toolkit.tasks import TASKS, TaskName

_TABLES = (".csv", ".tsv")
_EVALUATION_SPLITS = ("test", "eval", "val")


def read_labelled(
    path: Path,
    config: DataConfig,
    known: Sequence[str],
    task: TaskName = "classification",
    channels: int = RGB,
    decoding: Decoding = DEFAULT,
) -> ImageSet:
    """Read all labelled images of a folder or a list, without splitting; classes may be missing.

    Args:
        path: A folder with one folder per class (or a ``test/`` or ``val/`` of that kind); a table (``.csv``,
            ``.tsv``); or a text file with a ``path label`` line per image. Paths in a file are relative to its folder,
            or to ``config.root`` if the images are there.
        config: Settings for lists and tables, ``classes`` to keep, and ``on_bad_image``.
        known: Names of the network's classes, labels or targets, in the order of its outputs.
        task: What the labels are.
        channels: Channels of the images.
        decoding: How to read files of more than 8 bits, and transparency.

    Returns:
        The images, with labels in terms of ``known``.

    Raises:
        DataError: The path does not exist, has no labelled images, or has a class that the network does not know.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist", hint="give a folder with one folder a class, or a list of images")
    source = _read_folder(path, config, known, task) if path.is_dir() else _read_file(path, config, known, task)
    if config.classes is not None:
        source = source.only(tuple(name for name in config.classes if name in source.classes) or source.classes)
    read = {split: images.with_channels(channels).with_decoding(decoding) for split, images in source.splits.items()}
    splits = {split: images for split, images in read.items() if len(images)}
    splits = drop_or_refuse_bad_files(splits, config.on_bad_image == "skip", config.timeout)
    if not any(map(len, splits.values())):
        raise DataError(f"{path} has no labelled images", hint="expected <class>/*.jpg, or lines with path and label")
    return match_classes(next(iter(splits.values())), source.classes, known)


def _read_folder(path: Path, config: DataConfig, known: Sequence[str], task: TaskName) -> Source:
    if task not in FORMATS["folder"].readers:
        raise DataError(f"{path} is a folder, and a {task} task needs a table", hint="give a .csv file")
    folder = Folder(path)
    if not {normal(name) for name in known} & {normal(child.name) for child in folder.folders}:
        folder = _evaluation_split(folder)
    classes = tuple(child.name for child in folder.folders if child.count())
    if not classes:
        raise DataError(f"{folder.path} has no class folders with images", hint="expected <class>/*.jpg")
    changes = {"root": folder.path, "classes": classes}
    return FORMATS["folder"].readers[task](config.model_copy(update=changes))


def _evaluation_split(folder: Folder) -> Folder:
    """Return the test split of a data set, else its validation split, else the folder itself."""
    kinds = {kind_of(child.name)[0]: child for child in reversed(folder.folders) if child.holds_classes}
    split = next((kinds[kind] for kind in _EVALUATION_SPLITS if kind in kinds), None)
    if split is None:
        return folder
    left = [f"{child.name}/" for child in folder.folders if child is not split]
    info(f"{folder.path}: {split.name}/ is evaluated" + (f"; {listed(left)} left out" if left else ""))
    return split.unpacked


def _read_file(path: Path, config: DataConfig, known: Sequence[str], task: TaskName) -> Source:
    """Read a list or table whose image paths are relative to its own folder, or else to ``data.root``."""
    read = _read_table if path.suffix.lower() in _TABLES else _read_list
    problem: tuple[DataError, Callable[[], None]] | None = None
    for root in dict.fromkeys((path.parent, config.root)):
        if root is None or not root.is_dir():
            continue
        label_file = config.label_file if config.label_file and (root / config.label_file).is_file() else None
        changes = {"root": root, "label_file": label_file, "val_list": None, "test_list": None, "classes": None}
        try:
            with held_back() as say:  # report only once what was recognised in the file
                source = read(path, config.model_copy(update=changes), known, task)
        except DataError as error:  # for example: none of the images exists
            problem = (error, say) if problem is None or "none of its" in problem[0].message else problem
        else:
            say()
            return source
    assert problem is not None  # the file's own folder was tried
    problem[1]()
    raise problem[0]


def _read_table(path: Path, config: DataConfig, known: Sequence[str], task: TaskName) -> Source:
    with quietly():
        columns = set(read_table(path, Finder(config.root or path.parent, guess_extension=True)).columns)
    named = tuple(name for name in known if name in columns)
    names_in_cells = TASKS[task].names_in_cells and not named
    if config.label_columns is None or not set(config.label_columns) <= columns:
        own = named if TASKS[task].labels_are_rows and named else None
        config = config.model_copy(update={"label_columns": own})
    source = read_one_split(config.model_copy(update={"weight_column": None}), path, task)
    return _completed(source, known) if names_in_cells else source


def _completed(source: Source, known: Sequence[str]) -> Source:
    """Add a column of zeros for each label that no cell names."""
    absent = tuple(name for name in known if name not in source.classes)
    splits = {}
    for split, images in source.splits.items():
        zeros = np.zeros((len(images), len(absent)), np.float32)
        splits[split] = images.take(np.arange(len(images)), np.concatenate([images.labels, zeros], axis=1))
    return Source((*source.classes, *absent), splits)


def _read_list(path: Path, config: DataConfig, known: Sequence[str], task: TaskName) -> Source:
    changes = {"train_list": str(path.absolute()), "classes": tuple(known)}  # labels need not start at 0
    source = FORMATS["list"].readers[task](config.model_copy(update=changes))
    numbers = {str(index) for index in range(len(source.classes))}
    if config.label_file is not None or set(source.classes) != numbers or set(source.classes) <= set(known):
        return source
    if len(source.classes) > len(known):
        raise DataError(
            f"{path} has labels up to {len(source.classes) - 1}, but the network knows {len(known)} classes",
            hint="labels are positions in the network's classes, from 0; data.label_file names them",
        )
    pairs = [f"{index} = {name}" for index, name in enumerate(known)]
    info(f"{path}: labels are positions in the network's classes: {listed(pairs, 10)}")
    return Source(tuple(known[: len(source.classes)]), source.splits)


def match_classes(images: ImageSet, given: Sequence[str], known: Sequence[str]) -> ImageSet:
    """Relabel images in terms of a network's classes, matched by name in any order; some may be missing.

    Args:
        images: Images whose labels are positions in ``given``, or rows with one column for each of ``given``.
        given: Names of the classes, labels or targets of the images.
        known: Names of the network's classes, labels or targets, in the order of its outputs.

    Raises:
        DataError: The images have a class or column that the network does not know, or lack a column.
    """
    index_of = {normal(name): index for index, name in enumerate(known)}
    target = np.array([index_of.get(normal(name), -1) for name in given], np.int64)
    rows = images.has_rows
    is_used = np.ones(len(given), bool) if rows else np.bincount(images.labels, minlength=len(given)) > 0
    unknown = [name for name, index, used in zip(given, target, is_used, strict=True) if index < 0 and used]
    if unknown:
        raise DataError(
            f"{len(unknown)} {'column(s)' if rows else 'class(es)'} that the network does not know: "
            f"{listed(list(map(repr, unknown)))}; it knows {listed(list(map(repr, known)), 10)}",
            hint=f"rename them, or leave them out with -o data.classes=[...]; {nearest(unknown[0], known)}",
        )
    order = np.arange(len(images))
    if rows:
        missing = [name for index, name in enumerate(known) if index not in target]
        if missing:
            raise DataError(f"no column for {len(missing)} of {len(known)} outputs: {listed(missing)}")
        labels = np.zeros((len(images), len(known)), np.float32)
        labels[:, target] = images.labels
        return images.take(order, labels)
    present = {int(index) for index, used in zip(target, is_used, strict=True) if used}
    if len(present) < len(known):
        names = [known[index] for index in sorted(present)]
        info(f"images of {len(names)} of {len(known)} classes: {listed(names, 10)}")
    return images.take(order, target[images.labels])
