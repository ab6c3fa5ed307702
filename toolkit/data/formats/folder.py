"""Format ``folder``: one folder per class, optionally below train/, val/ and test/."""

from __future__ import annotations

from pathlib import Path

from toolkit.config import DataConfig
from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed, nearest, same_name
from toolkit.data.file_scan import FileNotes, images_below, list_folder
from toolkit.data.formats.folder_tree import Folder, folder_below
from toolkit.data.formats.paths import required_folder
from toolkit.data.formats.splits import expected, find_splits
from toolkit.data.images import FileImages
from toolkit.data.source import Source


def read_folder(config: DataConfig) -> Source:
    """Read ``<class>/**/*.jpg``, or ``{train,val,test}/<class>/**/*.jpg``.

    Class names are the sorted folder names; images may lie in subfolders of a class. Splits may have any of their usual
    names (``toolkit.data.formats.splits``). Files that are hidden, not images, behind a link, or outside of the class
    folders are left out and counted, one line per reason.

    Args:
        config: ``root`` and ``classes`` are used; classes are folders of ``root`` or of its training split.

    Returns:
        The images by split.

    Raises:
        DataError: The folder does not exist or has no class folders, a class is empty or occurs only in evaluation, or
            folders may be either splits or classes.
    """
    root = Folder(required_folder(config, "folder"))
    notes = FileNotes(root.path)
    try:
        return _read(config, root, notes)
    finally:
        notes.say()  # they may explain an error


def _read(config: DataConfig, root: Folder, notes: FileNotes) -> Source:
    own = find_splits(root, config.classes, notes)
    folders = own or {"train": root}
    for folder in dict.fromkeys((root, *folders.values())):
        where = "beside the class folders" if folder in folders.values() else "beside the splits"
        for path in list_folder(folder.path, notes)[1]:
            notes.add(f"images {where}", path)
    by_split = {split: {entry.name: entry.path for entry in folder.folders} for split, folder in folders.items()}
    if not by_split["train"]:
        raise DataError(f"{folders['train'].path} has no class folders", hint=expected(root))
    classes = tuple(sorted(by_split["train"]))
    label_of = {name: label for label, name in enumerate(classes)}
    wanted = set(classes if config.classes is None else (same_name(name, classes) for name in config.classes))
    by_split = {split: _as_in_training(folders[split], names, classes) for split, names in by_split.items()}
    splits, empty = {}, []
    for split, class_folders in by_split.items():
        if config.classes is None:
            _refuse_unknown_classes(folders[split].path, sorted(class_folders), classes)
        found = {
            name: images_below(class_folders[name], notes)
            for name in classes
            if name in class_folders and name in wanted
        }
        if not own and config.classes is None:
            _refuse_one_folder_too_high(root, [name for name, paths in found.items() if paths])
        empty += [str(class_folders[name]) for name, paths in found.items() if not paths]
        pairs = [(path, label_of[name]) for name, paths in found.items() for path in paths]
        splits[split] = FileImages([path for path, _ in pairs], [label for _, label in pairs])
    if empty:
        raise DataError(
            f"{len(empty)} class folder(s) have no images: {listed(empty)}",
            hint="add images (.jpg, .png, ...), remove the folder, or choose others with data.classes",
        )
    return Source(classes, splits)


def _as_in_training(split: Folder, class_folders: dict[str, Path], classes: tuple[str, ...]) -> dict[str, Path]:
    """Map class folders to the class names used in training: accents may be in either Unicode form."""
    renamed, found = {}, {}
    for name, path in class_folders.items():
        same = same_name(name, classes)
        if same is not None and same != name and same not in class_folders:
            renamed[name] = same
        found[renamed.get(name, name)] = path
    if renamed:
        words = [f"{name!a} is class {same!a} of training" for name, same in sorted(renamed.items())]
        console.info(f"{split.path}: {listed(words)}")
    return found


def _refuse_one_folder_too_high(root: Folder, full: list[str]) -> None:
    below = folder_below(root) if len(full) == 1 else None
    if below is not None:
        raise DataError(
            f"found 1 class in {root.path}: {full[0]}, but it holds folders of images itself",
            hint=f"data.root is one folder too high: set data.root: {below}",
        )


def _refuse_unknown_classes(folder: Path, names: list[str], classes: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise DataError(
            f"{folder} has {len(unknown)} class(es) that are not in training: {listed(unknown)}",
            hint=nearest(unknown[0], classes),
        )
