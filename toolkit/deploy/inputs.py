"""Find the images named on the command line, and read them ahead of the network."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from toolkit.core.errors import DataError
from toolkit.data.file_scan import FileNotes, images_below, links_below, take_images
from toolkit.data.pool import TIMEOUT, ReaderPool

_T = TypeVar("_T")
_R = TypeVar("_R")


def expand_images(args: Sequence[str | Path]) -> list[Path]:
    """Expand command-line arguments to image files.

    Other files in a folder or pattern are skipped and counted, one line per reason.

    Args:
        args: Files (used whatever their extension), folders (all images in them and in subfolders, except hidden ones
            and links to folders), and patterns like ``birds/**/*.jpg`` (images only).

    Returns:
        The files without duplicates, in the order of ``args``, sorted by path within a folder or pattern.

    Raises:
        DataError: An argument does not exist, or has no images.
    """
    found: dict[Path, None] = {}
    for arg in args:
        found.update(dict.fromkeys(_expand(str(arg))))
    if not found:
        raise DataError("no images given", hint="name image files, folders or patterns like 'photos/*.jpg'")
    return list(found)


def _expand(arg: str) -> list[Path]:
    path = Path(arg).expanduser()
    notes = FileNotes(path if path.exists() else _base_folder(path))
    try:
        return _found(arg, path, notes)
    finally:
        notes.say()


def _found(arg: str, path: Path, notes: FileNotes) -> list[Path]:
    if path.is_dir():
        images = images_below(path, notes)
        if not images:
            raise DataError(f"{path} contains no images", hint="give a folder of .jpg, .png, ... files")
        return images
    if path.exists():
        return [path]
    if not glob.has_magic(arg):
        raise DataError(f"{path} does not exist; expected an image, a folder or a pattern")
    matches = sorted(_matches(path))
    folders = {match for match in matches if match.is_dir()}
    images = [
        image
        for match in matches
        if folders.isdisjoint(match.parents)  # skip files inside a folder that matches
        for image in (images_below(match, notes) if match in folders else take_images([match], notes))
    ]
    if not images:
        raise DataError(
            f"no image matches {arg}", hint="check the pattern; quote it so that the shell does not expand it"
        )
    return images


def _base_folder(pattern: Path) -> Path:
    """Return the folder above the first component of a pattern with wildcards."""
    return next(folder for folder in pattern.parents if folder.exists() or not glob.has_magic(str(folder)))


def _matches(pattern: Path) -> list[Path]:
    """Return what a pattern matches; hidden files and folders must be named explicitly."""
    wanted = pattern.relative_to(base := _base_folder(pattern))
    if wanted.parts[0] != "**":
        return [Path(match) for match in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 - may be absolute
    # Unlike glob.glob, which follows them, this terminates for loops of links.
    found = [match for folder in (base, *links_below(base)) for match in folder.glob(str(wanted))]
    shown = any(part.startswith(".") for part in wanted.parts)
    return [m for m in found if shown or not any(part.startswith(".") for part in m.relative_to(base).parts)]


def read_ahead(
    items: Sequence[_T],
    work: Callable[[_T], _R],
    workers: int,
    ahead: int,
    name: Callable[[_T], str] = str,
    timeout: float = TIMEOUT,
) -> Iterator[_R]:
    """Process items in a few threads with a timeout, some items ahead of the consumer.

    Args:
        items: The items.
        work: Function to call in a worker thread.
        workers: Number of threads, >= 1.
        ahead: Maximum number of items in progress or waiting, >= 1.
        name: Returns the name of an item for the error message.
        timeout: Give up if no item is finished for this many seconds, > 0.

    Yields:
        Results in the order of ``items``. An exception in ``work`` is raised here when its item is due.

    Raises:
        DataError: No item was finished for ``timeout`` seconds.
    """
    with ReaderPool(workers, timeout, "--timeout (in Python predict's timeout)") as pool:

        def do(item: _T, result: list[_R]) -> None:
            pool.begin(name(item))
            result.append(work(item))

        def begin(item: _T) -> tuple[Future[None], list[_R]]:
            result: list[_R] = []
            return pool.submit(partial(do, item, result)), result

        rest = iter(items)
        waiting = deque(begin(item) for item in islice(rest, ahead))
        while waiting:
            future, result = waiting.popleft()
            pool.finish(future)
            waiting.extend(begin(item) for item in islice(rest, 1))
            yield result[0]
