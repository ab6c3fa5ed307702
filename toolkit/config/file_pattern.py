"""File names that contain numbers: ``{epoch:02d}-{val/loss:.3f}.pdparams``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from string import Formatter

from toolkit.core.names import did_you_mean

_COUNTS = ("epoch", "step")
_MODEL_ENDINGS = (".pdparams", ".safetensors")


def fields_of(pattern: str, known: Collection[str]) -> tuple[str, ...]:
    """Check a pattern and return its names.

    Args:
        pattern: A path in which ``{name}`` or ``{name:format}`` represent numbers, with Python's formats. Attributes,
            items and conversions are not allowed.
        known: Allowed names; ``epoch`` and ``step`` are integers.

    Returns:
        The names in the pattern, in order.

    Raises:
        ValueError: The pattern or path is invalid; the message is meant for the user.
    """
    found = []
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} is not a valid file name pattern: {error}") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in known:
            hint = did_you_mean(f"{{{name}}}", [f"{{{other}}}" for other in known]) or f"known are {', '.join(known)}"
            raise ValueError(f"{pattern!r}: unknown name {{{name}}}; {hint}")
        if conversion or not (form or "").isascii() or any(mark in (form or "") for mark in "{}/\\"):
            raise ValueError(f"{pattern!r}: {{{name}}} has a format that is not for numbers")
        found.append(name)
    try:
        sample = fill(pattern, {name: 1 if name in _COUNTS else 0.5 for name in found})
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{pattern!r} cannot be filled in: {error}") from None
    check_file_path(sample)
    return tuple(found)


def model_pattern(
    path: str | None,
    metrics: Collection[str],
    *,
    best_only: bool = False,
    every_steps: int | None = None,
    keep_last: int | None = None,
    keep_best: int | None = None,
) -> str:
    """Return the complete file name pattern for ``ModelCheckpoint``, after checking it against the options.

    Args:
        path: The pattern given; ``.pdparams`` is added unless it has a known ending. None: the epoch or the step.
        metrics: Known metrics such as ``val/loss``; with ``every_steps`` only those of ``train/`` are allowed.
        best_only: As in ``ModelCheckpoint``, like the following arguments.
        every_steps: Steps between two files; None for epochs.
        keep_last: Number of latest files to keep.
        keep_best: Number of best files to keep.

    Raises:
        ValueError: The pattern or path is invalid; the message is meant for the user.
    """
    if every_steps and (best_only or keep_best):
        raise ValueError("best_only and keep_best need the evaluation after an epoch: leave out every_steps")
    path = path or ("{step:06d}" if every_steps else "{epoch:03d}")
    complete = path if path.endswith(_MODEL_ENDINGS) else f"{path}{_MODEL_ENDINGS[0]}"
    known = [name for name in metrics if name.startswith("train/") or not every_steps]
    names = fields_of(complete, (*_COUNTS, *known))
    if max(keep_last or 0, keep_best or 0) > 1 and not set(_COUNTS) & set(names):
        raise ValueError(f"{path!r} names a single file, but several are to be kept: add {{epoch}} or {{step}} to it")
    return complete


def fill(pattern: str, values: Mapping[str, float]) -> str:
    """Fill in a pattern that was checked by ``fields_of``."""
    return Formatter().vformat(pattern, (), values)


def check_file_path(path: str) -> None:
    """Check that a path names a file, below its folder unless it is absolute.

    Raises:
        ValueError: The pattern or path is invalid; the message is meant for the user.
    """
    if not path.strip() or path.endswith(("/", "\\")) or "\0" in path:
        raise ValueError(f"{path!r} is not a file name")
    if ".." in PurePath(path).parts:
        raise ValueError(f"{path!r} leads out of the run's folder; give an absolute path to save it elsewhere")


def full_path(path: str, folder: Path) -> Path:
    """Resolve a path relative to ``folder``; ``~`` is the home folder."""
    return folder / Path(path).expanduser()
