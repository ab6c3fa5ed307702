"""Format ``folder``: one folder a class, with or without train/, val/ and test/ above."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit import console
from toolkit.config import DataConfig
from toolkit.data.decode import is_image_file
from toolkit.data.formats.paths import PART_NAMES, required_folder
from toolkit.data.images import FileImages
from toolkit.data.naming import listed, nearest
from toolkit.data.source import Source
from toolkit.errors import DataError

__all__ = ["read_folder"]

_IGNORED = frozenset({"__MACOSX", "__pycache__"})


def read_folder(config: DataConfig) -> Source:
    """Read ``<class>/**/*.jpg``, or ``{train,val,test}/<class>/**/*.jpg``.

    Class names are the sorted folder names; images may lie in subfolders of a class. Hidden files, and files that are
    no images by their extension, are ignored. ``valid`` and ``validation`` are other names of ``val``.

    Args:
        config: ``root`` counts.

    Returns:
        The pictures by part.

    Raises:
        DataError: No such folder, no class folders, an empty class, or an evaluation class that is not in training.
    """
    root = required_folder(config, "folder")
    folders = _part_folders(root) or {"train": root}
    by_part = {part: _class_folders(folder) for part, folder in folders.items()}
    if not by_part["train"]:
        raise DataError(f"{folders['train']} has no class folders", hint=_expected(root))
    classes = tuple(sorted(by_part["train"]))
    number = {name: label for label, name in enumerate(classes)}
    wanted = set(classes if config.classes is None else config.classes)
    parts, empty = {}, []
    for part, class_folders in by_part.items():
        if config.classes is None:
            _refuse_unknown_classes(folders[part], sorted(class_folders), classes)
        found = {
            name: _images_below(class_folders[name]) for name in classes if name in class_folders and name in wanted
        }
        empty += [str(class_folders[name]) for name, paths in found.items() if not paths]
        pairs = [(path, number[name]) for name, paths in found.items() for path in paths]
        parts[part] = FileImages([path for path, _ in pairs], [label for _, label in pairs])
    if empty:
        raise DataError(
            f"{len(empty)} class folder(s) have no images: {listed(empty)}",
            hint="add images (.jpg, .png, ...), remove the folder, or choose others with data.classes",
        )
    return Source(classes, parts)


def _part_folders(root: Path) -> dict[str, Path]:
    """The folders of the data set's own split; empty when ``root`` holds class folders."""
    found: dict[str, Path] = {}
    flat: dict[str, Path] = {}
    for folder in _subfolders(root):
        part = PART_NAMES.get(folder.name.lower())
        if part is None:
            continue
        if part in found:
            raise DataError(f"{root} has both {found[part].name}/ and {folder.name}/", hint="keep one of them")
        (found if _class_folders(folder) else flat)[part] = folder
    if not found:  # a class may be called "train"
        return {}
    for part in ("train", "val"):
        if part in flat:
            raise DataError(f"{flat[part]} has no class folders", hint=_expected(root))
    if "train" not in found:
        raise DataError(f"{root} has {next(iter(found.values())).name}/ but no train/", hint=_expected(root))
    if "test" in flat:
        console.warn(f"{flat['test']} has no class folders and is left out")
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _IGNORED
    )


def _class_folders(folder: Path) -> dict[str, Path]:
    return {entry.name: entry for entry in _subfolders(folder)}


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED)
        found += [path for path in map(Path(place).joinpath, sorted(files)) if is_image_file(path)]
    return found


def _refuse_unknown_classes(folder: Path, names: list[str], classes: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise DataError(
            f"{folder} has {len(unknown)} class(es) that training has not: {listed(unknown)}",
            hint=nearest(unknown[0], classes),
        )


def _expected(root: Path) -> str:
    if (root / "images.txt").is_file():
        return "images.txt is there: use data.format: cub200"
    if list(root.glob("*list*.txt")):
        return "list files are there: use data.format: list"
    if any(is_image_file(entry) for entry in root.iterdir()):
        return (
            f"sort the images into {root}/<class>/, or ask for advice without labels: tools/advise.py --images {root}"
        )
    return "expected <root>/<class>/*.jpg, or <root>/train/<class>/*.jpg and <root>/val/<class>/*.jpg"
