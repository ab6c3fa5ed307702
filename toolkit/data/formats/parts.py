"""Which folders of a data set are its parts (training, validation, test), and which are classes.

Parts are known by name: ``train``, ``valid``, ``test_set``, ``seg_train`` beside ``seg_test``. Folders that hold the same
subfolders look like parts whatever they are called; where names do not settle which is which, the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from toolkit import console
from toolkit.data.naming import listed
from toolkit.data.scan import FileNotes, images_below, list_folder
from toolkit.errors import DataError

__all__ = ["Folder", "expected", "find_parts", "folder_below"]

_WORDS: Mapping[str, tuple[str, ...]] = {
    "train": ("training", "train", "trn", "训练", "訓練"),
    "val": ("validation", "validate", "valid", "val", "development", "devel", "dev", "验证", "驗證"),
    "test": ("testing", "test", "tst", "holdout", "heldout", "测试", "測試"),
    "eval": ("evaluation", "evaluate", "eval"),
    "other": (
        "unlabeled", "unlabelled", "unsupervised", "unsup", "predictions", "prediction", "predict", "pred", "inference",
    ),
}  # fmt: skip
"""Words for each kind of part: ``eval`` is validation, or the test where there is a validation part; ``other`` is of no
use for training."""
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}
_FILLERS = (
    "datasets", "dataset", "data", "sets", "set", "images", "image", "imgs", "img", "pictures", "pics", "photos",
    "samples", "split", "part", "folder", "files", "jpg", "jpeg", "png", "集", "数据", "数据集", "數據", "图片", "图像",
)  # fmt: skip
_ONE_WORD = re.compile(rf"(?P<before>.*?)(?P<word>{'|'.join(_KINDS)})(?:{'|'.join(_FILLERS)})?")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")
_EXACT = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
_LEAST_SHARED = 2  # subfolders of the same name that make two folders look like parts


@dataclass(frozen=True)
class Folder:
    """A folder, listed once.

    Attributes:
        path: The folder.
    """

    path: Path

    @cached_property
    def _listing(self) -> tuple[list[Path], list[Path]]:
        return list_folder(self.path, FileNotes(self.path))

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def images(self) -> list[Path]:
        """The images that lie in it, not below."""
        return self._listing[1]

    @cached_property
    def folders(self) -> list[Folder]:
        """Its subfolders."""
        return [Folder(path) for path in self._listing[0]]

    @cached_property
    def holds_classes(self) -> bool:
        """True when images lie in subfolders, most of them at least."""
        loose = len(self.images)
        return bool(self.folders) and (not loose or sum(len(folder.images) for folder in self.folders) > loose)

    @cached_property
    def unpacked(self) -> Folder:
        """Where its class folders are: ``train/train/`` and ``train/images/`` are ``train/``."""
        if self.images or len(self.folders) != 1:
            return self
        only, kind = self.folders[0], _kind(self.name)[0]
        alike = only.name.lower() == self.name.lower() or (kind and kind == _kind(only.name)[0])
        return only.unpacked if only.holds_classes and (alike or only.name.lower() in _FILLERS) else self

    @cached_property
    def inner_names(self) -> frozenset[str]:
        """Names of its class folders, in lower case."""
        return frozenset(folder.name.lower() for folder in self.unpacked.folders) if self.holds_classes else frozenset()

    def count(self) -> int:
        """Number of images in it and below."""
        return len(images_below(self.path, FileNotes(self.path)))


def find_parts(root: Folder, classes: Sequence[str] | None, notes: FileNotes) -> dict[str, Folder]:
    """The folders of a data set's own split.

    Args:
        root: The data set.
        classes: ``data.classes``: names folders of ``root`` that are classes, however they look.
        notes: Gets the images in folders beside the parts.

    Returns:
        ``train``, and ``val`` and ``test`` where they are there, each a folder of class folders; empty when ``root``
        itself holds the class folders.

    Raises:
        DataError: Parts without class folders or without ``train``, or it is not clear what is a part.
    """
    group = _group_of(root)
    labelled = {kind: [each for each in members if each.holds_classes] for kind, members in group.items()}
    if classes is not None and set(classes) <= {folder.name for folder in root.folders}:
        inner = {name.name for each in labelled.get("train", ()) for name in each.unpacked.folders}
        if not set(classes) <= inner:
            return {}
    if not any(members for kind, members in labelled.items() if kind != "other"):
        _refuse_doubtful_classes(root, group)
        return {}
    parts = _settle(root, group, labelled)
    _leave_out_others(root, group, parts, notes)
    odd = [f"{part} = {folder.unpacked.path.relative_to(root.path)}/" for part, folder in parts.items()]
    if any(each.name.lower() not in _EXACT or each.unpacked is not each for each in parts.values()):
        console.info(f"parts of {root.path} by their names: {', '.join(odd)}")
    return {part: folder.unpacked for part, folder in parts.items()}


def folder_below(root: Folder) -> Path | None:
    """The only folder below that holds images, or where in there the class folders begin; None: they begin here."""
    full = [folder for folder in root.folders if folder.count()]
    if len(full) != 1 or not full[0].holds_classes:
        return None
    return folder_below(full[0]) or full[0].path


def expected(root: Folder) -> str:
    """A hint for a folder that has no class folders."""
    if (root.path / "images.txt").is_file():
        return "images.txt is there: use data.format: cub200"
    if list(root.path.glob("*list*.txt")):
        return "list files are there: use data.format: list"
    if list(root.path.glob("*.csv")):
        return "a table is there: use data.format: csv, or sort the images into folders, one a class"
    if root.images:
        return (
            f"sort the images into {root.path}/<class>/, or ask for advice without labels: "
            f"tools/advise.py --images {root.path}"
        )
    return "expected <root>/<class>/*.jpg, or <root>/train/<class>/*.jpg and <root>/val/<class>/*.jpg"


def _kind(name: str) -> tuple[str, tuple[str, ...]]:
    """The kind of part that a name says, if exactly one, and the words of the name that say something else."""
    for text in (name, name.lower()):  # trainSet, and then TRAINset
        kinds, rest = [], []
        for token in (found.lower() for found in _TOKEN.findall(text)):
            match = _ONE_WORD.fullmatch(token)
            if match:
                kinds.append(_KINDS[match["word"]])
            if not match or match["before"]:
                rest.append(match["before"] if match else token)
        if len(kinds) == 1:
            return kinds[0], tuple(word for word in rest if word not in _FILLERS)
    return "", ()


def _group_of(root: Folder) -> dict[str, list[Folder]]:
    """Folders whose names say the kind of part, and else the same (``seg_train`` and ``seg_test``), by kind."""
    groups: dict[tuple[str, ...], dict[str, list[Folder]]] = {}
    for folder in root.folders:
        kind, rest = _kind(folder.name)
        if kind:
            groups.setdefault(rest, {}).setdefault(kind, []).append(folder)
    plain = groups.pop((), {})
    sets = [group for group in groups.values() if "train" in group and len(group) > 1]
    if "train" in plain or not sets:
        return plain
    if len(sets) > 1:
        names = [f"{folder.name}/" for group in sets for members in group.values() for folder in members]
        raise DataError(
            f"{root.path} has the parts of {len(sets)} data sets: {listed(names, 8)}", hint="keep those of one"
        )
    return {**plain, **sets[0]}


def _settle(
    root: Folder, group: Mapping[str, Sequence[Folder]], labelled: Mapping[str, Sequence[Folder]]
) -> dict[str, Folder]:
    """One folder for each part, in order."""
    for members in labelled.values():
        if len(members) > 1:
            raise DataError(
                f"{root.path} has both {members[0].name}/ and {members[1].name}/", hint="keep one of them, or merge them"
            )
    flat = {kind: members[0] for kind, members in group.items() if not labelled[kind]}
    found = {kind: members[0] for kind, members in labelled.items() if members and kind != "other"}
    free = [part for part in ("val", "test") if part not in group]
    for places in (found, flat):
        if "eval" in places:
            if not free:
                raise DataError(f"{root.path} has val/, test/ and {places['eval'].name}/", hint="keep two of them")
            places[free[0]] = places.pop("eval")
    if "train" not in found | flat:
        raise DataError(
            f"{root.path} has {next(iter(found.values())).name}/ but no train/",
            hint=f"{expected(root)}; if it is a class, name all: data.classes: [{_names(root)}]",
        )
    for part in ("train", "val"):
        if part in flat:
            raise DataError(f"{flat[part].path} has no class folders", hint=expected(flat[part]))
    return {part: found[part] for part in ("train", "val", "test") if part in found}


def _leave_out_others(
    root: Folder, group: Mapping[str, Sequence[Folder]], parts: Mapping[str, Folder], notes: FileNotes
) -> None:
    """Say which folders beside the parts are left out; refuse where one of them might be a part, or a class."""
    train, unknown, alike = parts["train"], [], []
    others = [folder for folder in root.folders if folder not in parts.values()]
    counts = {folder: folder.count() for folder in others}
    for folder in others:
        if counts[folder] and _kind(folder.name)[0] not in ("test", "other"):
            unknown.append(f"{folder.name}/")
        if folder.inner_names & train.inner_names:
            alike.append(f"{folder.name}/")
    if (alike and len(parts) == 1) or (unknown and group.keys() == {"train"}):
        what = "holds the same class folders" if alike else "holds images, too"
        raise DataError(
            f"{root.path}: {train.name}/ looks like the training part, but {listed(alike or unknown)} beside it {what}",
            hint=f"if that is validation or test, rename it to val or test; to use {train.name}/ alone, set data.root: "
            f"{train.path}; if all are classes, name them: data.classes: [{_names(root)}]",
        )
    for folder, count in counts.items():
        if _kind(folder.name)[0] == "test" and not folder.holds_classes:
            console.warn(f"{folder.path} has no class folders and is left out ({count} images)")
        else:
            notes.add("in folders beside the parts", folder.path, count)


def _refuse_doubtful_classes(root: Folder, group: Mapping[str, Sequence[Folder]]) -> None:
    """Refuse folders that would be classes but look like parts."""
    flat = [folder for members in group.values() for folder in members]
    if len(group.keys() - {"other"}) > 1 and len(flat) == len(root.folders):
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in flat])} have no class folders",
            hint=f"{expected(root)}; if they are classes, name them: data.classes: [{_names(root)}]",
        )
    split = [folder for folder in root.folders if {"train"} < {_kind(name)[0] for name in folder.inner_names} - {""}]
    if split and len(root.folders) > 1:
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in split])} hold parts of their own "
            f"({listed(sorted(split[0].inner_names))})",
            hint=f"if it is a data set of its own, set data.root: {split[0].path}; if they are classes, sort by part "
            "first: <root>/train/<class>/",
        )
    names = {folder.name.lower() for folder in root.folders}
    copies = [folder for folder in root.folders if _alike(folder.inner_names, frozenset(names - {folder.name.lower()}))]
    if copies:
        raise DataError(
            f"{root.path}: {copies[0].name}/ holds folders of the same names as the class folders beside it",
            hint="if it is a part, move the others into train/; if it is no class, move it away; if all are classes, name "
            f"them: data.classes: [{_names(root)}]",
        )
    alike = _same_inside(root.folders)
    if alike:
        shared = sorted(alike[0].inner_names & alike[1].inner_names)
        raise DataError(
            f"{root.path}: {listed([f'{folder.name}/' for folder in alike])} hold the same subfolders ({listed(shared)}): "
            "parts of one data set, or classes?",
            hint="if they are parts, rename them to train, val and test, or set data.root to one of them; if they are "
            f"classes, name them: data.classes: [{_names(root)}]",
        )


def _same_inside(folders: Sequence[Folder]) -> list[Folder]:
    """The folders that share at least half of their subfolders' names with the first one that others do so with."""
    nested = [folder for folder in folders if len(folder.inner_names) >= _LEAST_SHARED]
    for position, first in enumerate(nested):
        alike = [folder for folder in nested[position + 1 :] if _alike(first.inner_names, folder.inner_names)]
        if alike:
            return [first, *alike]
    return []


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared >= _LEAST_SHARED and 2 * shared >= min(len(one), len(other))


def _names(root: Folder) -> str:
    return listed([folder.name for folder in root.folders], 20)
