"""Find the image files in a folder, and count what is left out, so that nothing goes missing silently.

A file counts as an image by its extension (``IMAGE_EXTENSIONS``), or without an extension by its first bytes. Hidden
files, folders of operating systems and storage devices, and the targets of links to folders are not data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.data.decode import IMAGE_EXTENSIONS

_SYSTEM_FOLDERS = frozenset({
    "__macosx", "__pycache__", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "#recycle", "#snapshot",
    "$recycle.bin", "lost+found", "system volume information", "ipynb_checkpoints", "network trash folder",
})  # fmt: skip
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"})
_UNREAD = frozenset({
    ".heic", ".heif", ".heics", ".hif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpm", ".jxl", ".jxr", ".wdp",
    ".hdp", ".psd", ".psb", ".xcf", ".svg", ".svgz", ".eps", ".ai", ".ico", ".icns", ".cur", ".tga", ".pcx", ".exr",
    ".hdr", ".pfm", ".pam", ".dds", ".sgi", ".ras", ".sr", ".qoi", ".fits", ".dcm", ".dicom", ".nii", ".djvu", ".wmf",
    ".emf", ".bpg", ".flif", ".jng", ".mng", ".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2",
    ".srw", ".orf", ".rw2", ".raf", ".pef", ".x3f", ".3fr", ".iiq", ".kdc", ".rwl", ".erf", ".mrw", ".mos",
})  # fmt: skip
"""Extensions of unsupported image formats."""
_HEAD = 32
_READ_HEADS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II[*+]\0|MM\0[*+]|\x93NUMPY|.{4}ftypavi[fs]"
    rb"|BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}",
    re.DOTALL,
)
_UNREAD_HEADS = re.compile(
    rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)|\0\0\0\x0c(?:jP  |JXL )\r\n\x87\n|\xff\x4f\xff\x51|8BPS", re.DOTALL
)
_MOST_COUNTED = 10_000
"""Counting behind a link or in a system folder stops at this many files."""
_MOST_NAMED = 3

_HIDDEN = "hidden or system files"
_LINKED = "images behind links to folders: copy them, or name the folder itself"


class FileNotes:
    """Files that are left out, or read on a guess: counted by reason, with the first names for each.

    Args:
        root: Names are relative to this folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[tuple[str, str, bool], tuple[int, int, list[str]]] = {}

    def add(self, why: str, path: Path, count: int = 1, *, loud: bool = True, what: str = "left out") -> None:
        """Note a file, or the files below a folder.

        Args:
            why: Short reason.
            path: The file or folder.
            count: Number of files; 0 is ignored.
            loud: The files are images, so warn.
            what: What happened to the files.
        """
        if count:
            files, items, names = self._found.get((what, why, loud), (0, 0, []))
            if items < _MOST_NAMED:
                names.append(repr(os.path.relpath(path, self._root))[1:-1])  # no line breaks
            self._found[what, why, loud] = files + count, items + 1, names

    def say(self) -> None:
        """Print one line per reason."""
        for (what, why, loud), (count, items, names) in self._found.items():
            files = f"{count} file{'s' if count > 1 else ''} of {self._root} {what}"
            line = f"{files} ({why}): {', '.join(names)}{', ...' if items > len(names) else ''}"
            (console.warn if loud else console.info)(line)


def images_below(folder: Path, notes: FileNotes) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted by path within each.

    Args:
        folder: May itself be a link; links to folders inside it are not followed, so loops of links do no harm.
        notes: Receives what is left out.

    Raises:
        DataError: A folder cannot be listed.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if _is_data(here / name, notes, links=False))
        found += take_images([here / name for name in sorted(files)], notes)
    return found


def list_folder(folder: Path, notes: FileNotes) -> tuple[list[Path], list[Path]]:
    """Return the sorted subfolders and image files of a folder; a link to a folder counts unless it leads back up.

    Raises:
        DataError: The folder cannot be listed.
    """
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112 - never raises
                (folders if is_folder else files).append(folder / entry.name)
    except OSError as error:
        raise _unlistable(error) from error
    return [path for path in sorted(folders) if _is_data(path, notes, links=True)], take_images(sorted(files), notes)


def take_images(files: Iterable[Path], notes: FileNotes) -> list[Path]:
    """Return the files that are images."""
    return [path for path in files if _is_image(path, notes)]


def links_below(folder: Path) -> list[Path]:
    """Return the links to folders below a folder, except those that lead back up."""
    paths = [Path(parent, name) for parent, folders, _ in os.walk(folder) for name in sorted(folders)]
    return [path for path in paths if path.is_symlink() and not _leads_up(path)]


def _is_image(path: Path, notes: FileNotes) -> bool:
    extension = path.suffix.lower()
    if path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES:
        notes.add(_HIDDEN, path, loud=False)
    elif extension in IMAGE_EXTENSIONS:
        return True
    elif extension in _UNREAD:
        notes.add(f"{extension} is not supported: convert to JPEG or PNG", path)
    elif not os.path.isfile(path):  # noqa: PTH113 - raises nothing
        notes.add("broken links" if path.is_symlink() else "not regular files", path)
    else:
        return _is_image_by_content(path, notes)
    return False


def _is_image_by_content(path: Path, notes: FileNotes) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        notes.add(f"cannot be read: {error.strerror}", path)
        return False
    if _UNREAD_HEADS.match(head):
        notes.add("HEIC, JPEG 2000, JPEG XL or PSD by their first bytes: convert to JPEG or PNG", path)
    elif not _READ_HEADS.match(head):
        notes.add("not images by extension or first bytes", path, loud=False)
    elif path.suffix:
        notes.add("images by their first bytes, but the extension is unknown: rename them", path)
    else:
        notes.add("no extension, but images by their first bytes", path, loud=False, what="read")
        return True
    return False


def _is_data(folder: Path, notes: FileNotes, *, links: bool) -> bool:
    name = folder.name.lower()
    if name.startswith(".") or name in _SYSTEM_FOLDERS:
        notes.add(_HIDDEN, folder, sum(1 for _ in islice(_files_below(folder), _MOST_COUNTED)), loud=False)
        return False
    if not folder.is_symlink():
        return True
    if _leads_up(folder):
        notes.add("links to a folder above themselves", folder, loud=False)
        return False
    if not links:
        linked = islice(_files_below(folder), _MOST_COUNTED)
        notes.add(_LINKED, folder, len(take_images(linked, FileNotes(folder))))
    return links


def _leads_up(link: Path) -> bool:
    parent, target = os.path.realpath(link.parent), os.path.realpath(link)
    return os.path.commonpath([parent, target]) == target


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        yield from map(Path(parent).joinpath, files)


def _refuse(error: OSError) -> None:
    raise _unlistable(error) from error


def _unlistable(error: OSError) -> DataError:
    return DataError(
        f"folder {error.filename} cannot be listed: {error.strerror or error}",
        hint="check the permissions of the folder",
    )
