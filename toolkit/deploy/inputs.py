"""Which images are meant, and reading them ahead of the network."""

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
    """The image files that a command line means.

    What a folder or pattern has beside images is left out and counted, in one line a reason.

    Args:
        args: Files (taken as they are, whatever their ending), folders (all images in them and in folders below; hidden
            ones and links to folders are left out), and patterns like ``birds/**/*.jpg`` (images only).

    Returns:
        The files, each once; in the order of ``args``, sorted by path inside a folder or pattern.

    Raises:
        DataError: An argument does not exist, or holds no image.
    """
    found: dict[Path, None] = {}
    for arg in args:
        found.update(dict.fromkeys(_expand(str(arg))))
    if not found:
        raise DataError("no images given", hint="name image files, folders or patterns like 'photos/*.jpg'")
    return list(found)


def _expand(arg: str) -> list[Path]:
    path = Path(arg).expanduser()
    notes = FileNotes(path if path.exists() else _place(path))
    try:
        return _found(arg, path, notes)
    finally:
        notes.say()


def _found(arg: str, path: Path, notes: FileNotes) -> list[Path]:
    if path.is_dir():
        images = images_below(path, notes)
        if not images:
            raise DataError(f"{path} has no image in it", hint="give a folder of .jpg, .png, ... files")
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
        if folders.isdisjoint(match.parents)  # not what a folder that matches holds, too
        for image in (images_below(match, notes) if match in folders else take_images([match], notes))
    ]
    if not images:
        raise DataError(f"no image matches {arg}", hint="check the pattern; quote it so that the shell leaves it alone")
    return images


def _place(pattern: Path) -> Path:
    """The folder above the first part of a pattern that is not plain."""
    return next(place for place in pattern.parents if place.exists() or not glob.has_magic(str(place)))


def _matches(pattern: Path) -> list[Path]:
    """What a pattern matches; hidden files and folders need to be written out."""
    wanted = pattern.relative_to(place := _place(pattern))
    if wanted.parts[0] != "**":
        return [Path(match) for match in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 - may be absolute
    found = [match for folder in (place, *links_below(place)) for match in folder.glob(str(wanted))]  # ends in spite of
    shown = any(part.startswith(".") for part in wanted.parts)  # loops of links, which glob.glob follows
    return [m for m in found if shown or not any(part.startswith(".") for part in m.relative_to(place).parts)]


def read_ahead(
    items: Sequence[_T],
    work: Callable[[_T], _R],
    workers: int,
    ahead: int,
    name: Callable[[_T], str] = str,
    timeout: float = TIMEOUT,
) -> Iterator[_R]:
    """Do ``work`` on items in a few watched threads, some items ahead of the one who takes the results.

    Args:
        items: What to work on.
        work: Called in a worker thread.
        workers: Threads, at least 1.
        ahead: Items that may be under way or waiting, at least 1.
        name: What to call an item that does not get done.
        timeout: Seconds without any item done after which to give up, > 0.

    Yields:
        Results in the order of ``items``. An exception of ``work`` is raised here, in its item's turn.

    Raises:
        DataError: No item was done for ``timeout`` seconds.
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
