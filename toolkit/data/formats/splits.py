"""Tell the folders that are splits of a data set (training, validation, test) from the folders that are classes.

Splits are recognised by name: ``train``, ``valid``, ``test_set``, ``seg_train`` beside ``seg_test``. Folders with the
same subfolders look like splits whatever their names; if names do not settle it, an error asks the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.data.file_scan import FileNotes
from toolkit.data.formats.folder_tree import Folder, kind_of

_EXACT = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
_LEAST_SHARED = 2  # subfolders of the same name that make two folders look like splits


def find_splits(root: Folder, classes: Sequence[str] | None, notes: FileNotes) -> dict[str, Folder]:
    """Find the folders of the splits that a data set provides.

    Args:
        root: The data set.
        classes: ``data.classes``; folders of ``root`` with these names are classes, whatever they look like.
        notes: Receives the images in folders beside the splits.

    Returns:
        ``train``, and ``val`` and ``test`` if present, each a folder of class folders; empty if ``root`` itself holds
        the class folders.

    Raises:
        DataError: Splits have no class folders or no ``train``, or it is ambiguous which folders are splits.
    """
    group = _group_of(root)
    labelled = {kind: [folder for folder in members if folder.holds_classes] for kind, members in group.items()}
    if classes is not None and set(classes) <= {folder.name for folder in root.folders}:
        inner = {child.name for folder in labelled.get("train", ()) for child in folder.unpacked.folders}
        if not set(classes) <= inner:
            return {}
    if not any(members for kind, members in labelled.items() if kind != "other"):
        _refuse_doubtful_classes(root, group)
        return {}
    splits = _settle(root, group, labelled)
    _leave_out_others(root, group, splits, notes)
    odd = [f"{split} = {folder.unpacked.path.relative_to(root.path)}/" for split, folder in splits.items()]
    if any(folder.name.lower() not in _EXACT or folder.unpacked is not folder for folder in splits.values()):
        console.info(f"splits of {root.path} by their names: {', '.join(odd)}")
    return {split: folder.unpacked for split, folder in splits.items()}


def expected(root: Folder) -> str:
    """Return a hint for a folder that has no class folders."""
    if (root.path / "images.txt").is_file():
        return "images.txt exists: use data.format: cub200"
    if list(root.path.glob("*list*.txt")):
        return "there are list files: use data.format: list"
    if list(root.path.glob("*.csv")):
        return "there is a table: use data.format: csv, or sort the images into folders, one per class"
    if root.images:
        return (
            f"sort the images into {root.path}/<class>/, or ask for advice without labels: "
            f"{console.command('advise', '--images', root.path)}"
        )
    return "expected <root>/<class>/*.jpg, or <root>/train/<class>/*.jpg and <root>/val/<class>/*.jpg"


def _group_of(root: Folder) -> dict[str, list[Folder]]:
    """Group by kind the folders whose names differ only in the split (``seg_train`` and ``seg_test``)."""
    groups: dict[tuple[str, ...], dict[str, list[Folder]]] = {}
    for folder in root.folders:
        kind, rest = kind_of(folder.name)
        if kind:
            groups.setdefault(rest, {}).setdefault(kind, []).append(folder)
    plain = groups.pop((), {})
    sets = [group for group in groups.values() if "train" in group and len(group) > 1]
    if "train" in plain or not sets:
        return plain
    if len(sets) > 1:
        names = [f"{folder.name}/" for group in sets for members in group.values() for folder in members]
        raise DataError(
            f"{root.path} has the splits of {len(sets)} data sets: {listed(names, 8)}", hint="keep those of one"
        )
    return {**plain, **sets[0]}


def _settle(
    root: Folder, group: Mapping[str, Sequence[Folder]], labelled: Mapping[str, Sequence[Folder]]
) -> dict[str, Folder]:
    """Choose one folder per split, in order."""
    for kind, members in labelled.items():
        if len(members) > 1 and kind != "other":
            raise DataError(
                f"{root.path} has both {members[0].name}/ and {members[1].name}/",
                hint="keep one of them, or merge them",
            )
    flat = {kind: members[0] for kind, members in group.items() if not labelled[kind]}
    found = {kind: members[0] for kind, members in labelled.items() if members and kind != "other"}
    free = [split for split in ("val", "test") if split not in group]
    for folders in (found, flat):
        if "eval" in folders:
            if not free:
                raise DataError(f"{root.path} has val/, test/ and {folders['eval'].name}/", hint="keep two of them")
            folders[free[0]] = folders.pop("eval")
    if "train" not in found | flat:
        raise DataError(
            f"{root.path} has {next(iter(found.values())).name}/ but no train/",
            hint=f"{expected(root)}; if it is a class, name all: data.classes: [{_names(root)}]",
        )
    for split in ("train", "val"):
        if split in flat:
            raise DataError(f"{flat[split].path} has no class folders", hint=expected(flat[split]))
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _leave_out_others(
    root: Folder, group: Mapping[str, Sequence[Folder]], splits: Mapping[str, Folder], notes: FileNotes
) -> None:
    """Report folders beside the splits that are left out; refuse those that might be a split or a class."""
    train, unknown, alike = splits["train"], [], []
    others = [folder for folder in root.folders if folder not in splits.values()]
    counts = {folder: folder.count() for folder in others}
    for folder in others:
        if counts[folder] and kind_of(folder.name)[0] not in ("test", "other"):
            unknown.append(f"{folder.name}/")
        if folder.inner_names & train.inner_names:
            alike.append(f"{folder.name}/")
    if (alike and len(splits) == 1) or (unknown and group.keys() == {"train"}):
        what = "holds the same class folders" if alike else "holds images, too"
        raise DataError(
            f"{root.path}: {train.name}/ looks like the training split, but {listed(alike or unknown)} next to it "
            + what,
            hint=f"if that is validation or test, rename it to val or test; to use {train.name}/ alone, set data.root: "
            f"{train.path}; if all are classes, name them: data.classes: [{_names(root)}]",
        )
    for folder, count in counts.items():
        if kind_of(folder.name)[0] == "test" and not folder.holds_classes:
            console.warn(f"{folder.path} has no class folders and is left out ({count} images)")
        else:
            notes.add("in folders beside the splits", folder.path, count)


def _refuse_doubtful_classes(root: Folder, group: Mapping[str, Sequence[Folder]]) -> None:
    """Refuse folders that would be classes but look like splits."""
    flat = [folder for members in group.values() for folder in members]
    if len(group.keys() - {"other"}) > 1 and len(flat) == len(root.folders):
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in flat])} have no class folders",
            hint=f"{expected(root)}; if they are classes, name them: data.classes: [{_names(root)}]",
        )
    nested = [folder for folder in root.folders if {"train"} < {kind_of(name)[0] for name in folder.inner_names} - {""}]
    if nested and len(root.folders) > 1:
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in nested])} hold splits of their own "
            f"({listed(sorted(nested[0].inner_names))})",
            hint=f"if it is a separate data set, set data.root: {nested[0].path}; if they are classes, sort by split "
            "first: <root>/train/<class>/",
        )
    names = {folder.name.lower() for folder in root.folders}
    copies = [folder for folder in root.folders if _alike(folder.inner_names, frozenset(names - {folder.name.lower()}))]
    if copies:
        raise DataError(
            f"{root.path}: {copies[0].name}/ holds folders of the same names as the class folders beside it",
            hint="if it is a split, move the others into train/; if it is not a class, move it away; if all are "
            f"classes, name them: data.classes: [{_names(root)}]",
        )
    alike = _same_inside(root.folders)
    if alike:
        shared = sorted(alike[0].inner_names & alike[1].inner_names)
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in alike])} hold the same subfolders "
            f"({listed(shared)}): splits of one data set, or classes?",
            hint="if they are splits, rename them to train, val and test, or set data.root to one of them; if they are "
            f"classes, name them: data.classes: [{_names(root)}]",
        )


def _same_inside(folders: Sequence[Folder]) -> list[Folder]:
    """Return the first folder that shares at least half of its subfolders' names with others, and these others."""
    nested = [folder for folder in folders if len(folder.inner_names) >= _LEAST_SHARED]
    for position, first in enumerate(nested):
        alike = [folder for folder in nested[position + 1 :] if _alike(first.inner_names, folder.inner_names)]
        if alike:
            return [first, *alike]
    return []


def _alike(names: frozenset[str], others: frozenset[str]) -> bool:
    shared = len(names & others)
    return shared >= _LEAST_SHARED and 2 * shared >= min(len(names), len(others))


def _names(root: Folder) -> str:
    return listed([folder.name for folder in root.folders], 20)
