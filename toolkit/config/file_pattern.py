"""Names of files with numbers in them: ``{epoch:02d}-{val/loss:.3f}.pdparams``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from string import Formatter

from toolkit.core.names import did_you_mean

_COUNTS = ("epoch", "step")
_MODEL_ENDINGS = (".pdparams", ".safetensors")


def fields_of(pattern: str, known: Collection[str]) -> tuple[str, ...]:
    """Check a pattern, and say what stands in it.

    Args:
        pattern: A path in which ``{name}`` or ``{name:format}`` stand for numbers; formats are those of Python. There
            is nothing else in braces: no attributes, no items, no conversions.
        known: Names that may stand in it; ``epoch`` and ``step`` are whole numbers.

    Returns:
        The names in it, in their order.

    Raises:
        ValueError: In words for the user.
    """
    found = []
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no pattern for file names: {error}") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in known:
            cure = did_you_mean(f"{{{name}}}", [f"{{{each}}}" for each in known]) or f"known are {', '.join(known)}"
            raise ValueError(f"{pattern!r}: unknown name {{{name}}}; {cure}")
        if conversion or not (form or "").isascii() or any(mark in (form or "") for mark in "{}/\\"):
            raise ValueError(f"{pattern!r}: {{{name}}} has a format that is not for numbers")
        found.append(name)
    try:
        sample = fill(pattern, {name: 1 if name in _COUNTS else 0.5 for name in found})
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{pattern!r} cannot be filled in: {error}") from None
    check_place(sample)
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
    """The whole pattern for files of ``ModelCheckpoint``, when it fits what is asked for.

    Args:
        path: What was given; ``.pdparams`` is added where no known ending stands. None: the epoch or the step.
        metrics: Known metrics, ``val/loss`` and so on; at steps only those of ``train/`` are known.
        best_only: As in ``ModelCheckpoint``, like the rest.
        every_steps: Steps between two files; None for epochs.
        keep_last: Number of latest files to keep.
        keep_best: Number of best files to keep.

    Raises:
        ValueError: In words for the user.
    """
    if every_steps and (best_only or keep_best):
        raise ValueError("best_only and keep_best need the evaluation after an epoch: leave every_steps out")
    path = path or ("{step:06d}" if every_steps else "{epoch:03d}")
    whole = path if path.endswith(_MODEL_ENDINGS) else f"{path}{_MODEL_ENDINGS[0]}"
    known = [name for name in metrics if name.startswith("train/") or not every_steps]
    names = fields_of(whole, (*_COUNTS, *known))
    if max(keep_last or 0, keep_best or 0) > 1 and not set(_COUNTS) & set(names):
        raise ValueError(f"{path!r} is one file, of which several cannot be kept: put {{epoch}} or {{step}} into it")
    return whole


def fill(pattern: str, values: Mapping[str, float]) -> str:
    """The pattern with its numbers; it was checked by ``fields_of``."""
    return Formatter().vformat(pattern, (), values)


def check_place(path: str) -> None:
    """See that a path names a file, below its folder unless it is absolute.

    Raises:
        ValueError: In words for the user.
    """
    if not path.strip() or path.endswith(("/", "\\")) or "\0" in path:
        raise ValueError(f"{path!r} is no file name")
    if ".." in PurePath(path).parts:
        raise ValueError(f"{path!r} leads out of the run's folder; give an absolute path for another place")


def full_path(path: str, folder: Path) -> Path:
    """Where a path leads: relative ones begin at ``folder``, and ``~`` is the home folder."""
    return folder / Path(path).expanduser()
