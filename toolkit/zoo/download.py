"""Downloads that are complete or absent: resumed after interruptions, verified, and then moved into place.

Environment variables:
    PADDLE_FINETUNE_WEIGHTS  folder to keep weights in, instead of Paddle's ~/.cache/paddle/hapi/weights
    PADDLE_FINETUNE_OFFLINE  1: never download
    PADDLE_FINETUNE_MIRROR   base URL with Paddle's weights files under the same names
    HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE  as usual
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from toolkit.core.console import info, warn
from toolkit.core.errors import WeightsError
from toolkit.core.locking import locked
from toolkit.core.runtime import environment_setting
from toolkit.zoo.http import BadAnswerError, CutError, transfer

_ATTEMPTS = 4
_FIRST_PAUSE = 0.5  # seconds; doubled after each attempt without progress


def weights_folder() -> Path:
    """The folder of downloaded weights: Paddle's own, unless PADDLE_FINETUNE_WEIGHTS names another."""
    return Path(environment_setting("WEIGHTS") or "~/.cache/paddle/hapi/weights").expanduser()


def mirrored(url: str) -> str:
    """The URL on the mirror PADDLE_FINETUNE_MIRROR, if set."""
    mirror = environment_setting("MIRROR")
    return f"{mirror.rstrip('/')}/{urlsplit(url).path.rpartition('/')[2]}" if mirror else url


def fetch(url: str, path: Path, md5: str | None = None, check: Callable[[Path], object] | None = None) -> Path:
    """Get a file from the cache, or download it.

    Args:
        url: URL of the file.
        path: Path in the cache.
        md5: Checksum in hex, or None if unknown.
        check: Called with the downloaded file before it is moved into place; raises a WeightsError if it is invalid.

    Returns:
        ``path``, complete and with this checksum.

    Raises:
        WeightsError: The file is missing and cannot be downloaded; the hint says which file to put where.
    """
    hint = f"download {url} in another way, then put it at {path} or pass it as "
    hint += "-o model.pretrained=FILE (predict, advise: --weights FILE)"
    if md5 and path.is_file() and not _is_there(path, md5):
        warn(f"weights: {path} has a wrong checksum (expected md5 {md5}); downloading it again to replace it")
    if _is_there(path, md5):
        return path
    if environment_setting("OFFLINE") not in (None, "0"):
        state = f"has a wrong checksum (expected md5 {md5})" if path.is_file() else "does not exist"
        raise WeightsError(f"{path} {state}, and PADDLE_FINETUNE_OFFLINE forbids downloads", hint=hint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"weights: waiting for another process to download {path.name}"
        with locked(path.with_name(f".{path.name}.lock"), waiting):
            if not _is_there(path, md5):
                info(f"weights: downloading {url}")
                _download(url, path, lambda part: _fault(part, md5, check), hint)
    except OSError as error:
        hint = "free some space, or set PADDLE_FINETUNE_WEIGHTS to a folder that you may write to"
        raise WeightsError(f"cannot keep {path}: {error.strerror or error}", hint=hint) from error
    return path


def _is_there(path: Path, md5: str | None) -> bool:
    return path.is_file() and (md5 is None or _md5(path) == md5)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fault(path: Path, md5: str | None, check: Callable[[Path], object] | None) -> str | None:
    """What is wrong with a download; None if nothing is."""
    if not _is_there(path, md5):
        return f"with a wrong checksum (expected md5 {md5})"
    try:
        if check is not None:
            check(path)
    except WeightsError as error:
        return f"that cannot be used: {error.message}"
    return None


def _download(url: str, path: Path, fault_of: Callable[[Path], str | None], cure: str) -> None:
    """Transfer to ``<name>.part``, verify and rename."""
    part = path.with_name(f"{path.name}.part")
    resumed = part.is_file()
    _transfer_with_patience(url, part, path.name, cure)
    fault = fault_of(part)
    if resumed and fault:  # the earlier part may have been corrupt
        part.unlink()
        _transfer_with_patience(url, part, path.name, cure)
        fault = fault_of(part)
    if fault:
        part.unlink()
        raise WeightsError(f"{url} returned a file {fault}", hint=cure)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    part.with_name(f"{part.name}.tag").unlink(missing_ok=True)


def _transfer_with_patience(url: str, part: Path, name: str, cure: str) -> None:
    """Retry after interruptions as long as each attempt makes progress; pause if one does not."""
    idle = 0
    while True:
        before = _size(part)
        try:
            return transfer(url, part, name)
        except BadAnswerError as error:
            raise WeightsError(f"cannot download {url}: {error}", hint=cure) from error
        except CutError as error:
            idle = 0 if _size(part) > before else idle + 1
            if idle == _ATTEMPTS:
                raise WeightsError(f"cannot download {url}: {error}", hint=cure) from error
            time.sleep(_FIRST_PAUSE * 2 ** max(idle - 1, 0))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
