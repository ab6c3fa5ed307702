"""Examine every image of a data set before use: whether it can be decoded, and what kind of image it is.

Every file is decoded by the same code as in training, so that files that pass can be trained on (JPEGs at an eighth of
their size, which still reads all data but takes a third of the time). The results are stored by path, size and
modification time, so that the next run reads only changed files.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import PIL

from toolkit.core import console
from toolkit.core.files import atomic_file
from toolkit.core.names import listed
from toolkit.data.bit_depth import Decoding, to_8_bit
from toolkit.data.channels import GRAY, RGB
from toolkit.data.decode import read_raw
from toolkit.data.jpeg import JPEG, decode_fast, has_decoder, read_header
from toolkit.data.pillow import check_size
from toolkit.data.pool import read_all

_VERSION = 1  # of the decisions made here and in toolkit.data.decode
_THREADS = 8
_REDUCED = 8
_NEARLY_CONSTANT = 8
"""An image shows nothing if all its pixels lie within this many of 255 levels."""
_MANY = 0.1
"""Fraction of such images from which to warn."""


class Facts(NamedTuple):
    """The findings for one file.

    Attributes:
        problem: Why it cannot be used; empty for a sound image. The other attributes are valid only for sound images.
        height: Rows of the upright image.
        width: Columns of the upright image.
        mode: Kind of image: ``RGB``, ``gray``, ``16-bit gray``, ...
        scale: Values that become 0 and 255; empty for an 8-bit image.
        constant: The value is nearly the same everywhere.
        not_finite: There are NaN or infinite values.
    """

    problem: str = ""
    height: int = 0
    width: int = 0
    mode: str = ""
    scale: str = ""
    constant: bool = False
    not_finite: bool = False


def examine(path: str, channels: int = RGB, decoding: Decoding | None = None) -> Facts:
    """Decode an image file, and describe it.

    Args:
        path: The file.
        channels: Number of channels.
        decoding: Fixed bit depth, window and alpha.
    """
    try:
        return _examine(Path(path).read_bytes(), channels, decoding or Decoding())
    except FileNotFoundError:
        return Facts("missing")
    except OSError as error:
        return Facts(error.strerror or str(error))
    except ValueError as error:
        return Facts(str(error))


def _examine(data: bytes, channels: int, decoding: Decoding) -> Facts:
    if channels in (GRAY, RGB) and data.startswith(JPEG) and (header := read_header(data)):
        check_size(header.height, header.width)
        small = decode_fast(data, header, _REDUCED)
        if small is not None and not _is_constant(small):
            return Facts("", *header.upright_size, header.mode)
    raw = read_raw(data, channels)
    pixels, scale = to_8_bit(raw, channels, decoding)
    infinite = raw.values.dtype.kind == "f" and not np.isfinite(raw.values).all()
    height, width = pixels.shape[:2]
    return Facts("", height, width, raw.mode, str(scale or ""), _is_constant(pixels), infinite)


def _is_constant(pixels: npt.NDArray[np.uint8]) -> bool:
    lowest, highest = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    return int((highest - lowest).max()) <= _NEARLY_CONSTANT


def survey(
    files: Sequence[str], channels: int, decoding: Decoding, timeout: float, cache: Path | None = None
) -> list[Facts]:
    """Examine many files, in threads.

    Args:
        files: The paths.
        channels: Number of channels.
        decoding: Fixed bit depth, window and alpha.
        timeout: Give up if the file system does not respond for this many seconds.
        cache: Folder for the results; None: keep nothing.

    Returns:
        Facts about each file, in order.

    Raises:
        DataError: The file system does not respond.
    """
    marks = dict(read_all(_mark, list(dict.fromkeys(files)), _THREADS, timeout))
    kept_in = None if cache is None or not files else cache / _name(files, channels, decoding)
    known = _load(kept_in)
    fresh = [path for path, mark in marks.items() if mark is None or known.get(path, (None,))[0] != mark]
    look = partial(examine, channels=channels, decoding=decoding)
    with console.progress() as bar:
        task = bar.add_task("checking images", total=len(fresh))
        for path, facts in read_all(look, fresh, _THREADS, timeout):
            known[path] = (marks[path], facts)
            bar.advance(task)
    if kept_in is not None and fresh:
        _save(kept_in, {path: row for path, row in known.items() if row[0] is not None})
    return [known[path][1] for path in files]


def report_images(files: Sequence[str], facts: Sequence[Facts], decoding: Decoding) -> None:
    """Report the number of images, their sizes and kinds in one line, and warn of anything unusual.

    Args:
        files: The paths, N.
        facts: Facts about them, N.
        decoding: The decoding settings used.
    """
    found = [(path, fact) for path, fact in zip(files, facts, strict=True) if not fact.problem]
    if not found:
        return
    sizes = sorted(((fact.width, fact.height) for _, fact in found), key=lambda size: (size[0] * size[1], size))
    smallest, median, largest = (f"{width}x{height}" for width, height in (sizes[0], sizes[len(sizes) // 2], sizes[-1]))
    span = f"{smallest} to {largest} (median {median})" if smallest != largest else f"all {smallest}"
    modes = Counter(fact.mode for _, fact in found).most_common()
    console.info(f"images: {len(found)}, {span}, {', '.join(f'{mode} {count}' for mode, count in modes)}")
    if not has_decoder():
        console.warn("simplejpeg is not installed, so damaged JPEGs are not noticed: pip install simplejpeg")
    _say_scales(found, decoding)
    constant = [path for path, fact in found if fact.constant]
    if len(constant) >= max(2, _MANY * len(found)):
        alpha = any("alpha" in fact.mode or fact.mode == "RGBA" for _, fact in found if fact.constant)
        console.warn(
            f"{len(constant)} of {len(found)} images are nearly constant once decoded (all pixels within "
            f"{_NEARLY_CONSTANT} of 255 levels): {listed(constant, 3)}"
            + (f"; transparency is laid on {decoding.alpha}: try another data.alpha" if alpha else "")
            + ("; data.window says which values become black and white" if any(f.scale for _, f in found) else "")
        )
    holes = [path for path, fact in found if fact.not_finite]
    if holes:
        console.warn(f"{len(holes)} of {len(found)} images contain NaN or infinite values: {listed(holes, 3)}")


def _say_scales(found: Sequence[tuple[str, Facts]], decoding: Decoding) -> None:
    """Report how images of more than 8 bits are read; warn if that differs between images."""
    scales = Counter(fact.scale for _, fact in found if fact.scale)
    if not scales:
        return
    if len(scales) == 1:
        (scale, count), *_ = scales.items()
        fixed = decoding.bit_depth is not None or decoding.window is not None
        how = "" if fixed else ", by their values; data.bit_depth or data.window fixes it"
        console.info(f"{count} image(s) that are not 8-bit are read as {scale}{how}")
        return
    examples = {fact.scale: path for path, fact in reversed(found) if fact.scale}
    details = ", ".join(f"{count} as {scale} ({examples[scale]})" for scale, count in scales.most_common())
    depths = [int(scale.removesuffix("-bit")) for scale in scales if scale.endswith("-bit")]
    remedy = f"data.bit_depth: {max(depths)}" if len(depths) == len(scales) else "data.window: [LOW, HIGH]"
    console.warn(f"brightness is not comparable: images are read by the range of each file, {details}; set {remedy}")


def _mark(path: str) -> list[int] | None:
    """Return size and modification time; None if there is no such file."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _name(files: Sequence[str], channels: int, decoding: Decoding) -> str:
    """Name the file for one folder of images, read in one way by one version of the decoders."""
    import cv2

    folder = os.path.commonpath([os.path.abspath(os.path.dirname(path)) for path in files])  # noqa: PTH100, PTH120
    versions = [_VERSION, PIL.__version__, cv2.__version__, has_decoder(), np.__version__]
    facts = json.dumps([folder, channels, decoding.to_dict(), versions])
    return f"{hashlib.sha256(facts.encode(errors='surrogateescape')).hexdigest()[:32]}.json.gz"


_Known = dict[str, tuple[Any, Facts]]


def _load(path: Path | None) -> _Known:
    if path is None:
        return {}
    try:
        with gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
            rows = json.load(file)
        return {name: (mark, Facts(*facts)) for name, (mark, facts) in rows.items()}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, RecursionError):  # missing or damaged
        return {}


def _save(path: Path, known: _Known) -> None:
    with suppress(OSError), atomic_file(path) as temporary, gzip.open(temporary, "wt", compresslevel=1) as file:
        json.dump(known, file)
