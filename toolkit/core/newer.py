"""Files of a run that a newer version of the toolkit wrote: refused in one line, before anything is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from toolkit import __version__
from toolkit.core.errors import NewerError

FORMAT = 1
"""Format of a run's files; raised by a change that an older version would misread."""


def is_newer(version: object) -> bool:
    """Whether a version such as ``0.3.1`` comes after this toolkit's own; False for what is not a version."""
    return isinstance(version, str) and _parts(version) > _parts(__version__)


def _parts(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def newer_error(path: Path, version: object) -> NewerError:
    """The error for a file that this version cannot read.

    Args:
        path: The file.
        version: Version of the toolkit that wrote it, if known.
    """
    name = version if isinstance(version, str) else "of unknown version"
    return NewerError(
        f"{path} was written by paddle-finetune {name}, which is newer than this one ({__version__})",
        hint='use that version or a later one: pip install --upgrade "paddle-finetune"; nothing was changed',
    )


def refuse_newer(path: Path, found: object, version: object, known: int = FORMAT) -> None:
    """Refuse a file of a newer format.

    Args:
        path: The file.
        found: Its format; None in files of earlier versions.
        version: Version of the toolkit that wrote it.
        known: The newest format that this version reads.

    Raises:
        NewerError: The format is newer.
    """
    if isinstance(found, int) and found > known:
        raise newer_error(path, version)


def record_version(record: dict[str, Any]) -> object:
    """Version of the toolkit in the content of a ``run.json``."""
    versions = record.get("versions")
    return versions.get("toolkit") if isinstance(versions, dict) else None


def writer_of(config: Path) -> object:
    """Version of the toolkit that wrote a run's ``config.yaml``; None if it is not one of a run.

    Raises:
        NewerError: The run has a newer format.
    """
    path = config.with_name("run.json")
    if config.name != "config.yaml" or not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError):
        return None  # reported by whoever needs the record
    if not isinstance(record, dict):
        return None
    refuse_newer(path, record.get("format"), record_version(record))
    return record_version(record)
