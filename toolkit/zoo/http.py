"""A single HTTP transfer, which resumes where an earlier one was cut off."""

from __future__ import annotations

from pathlib import Path

import requests

from toolkit.core.console import progress

_CONNECT_TIMEOUT = 10  # seconds
_READ_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 16  # bytes; a cut loses at most one block
_MEGABYTE = 1e6


class CutError(Exception):
    """No connection, or one that ended early: worth a retry."""


class BadAnswerError(Exception):
    """The server responded, and a retry would not change that."""


def transfer(url: str, part: Path, name: str) -> None:
    """Download into ``part``, appending to its existing content.

    The server's version tag (ETag or date) is stored beside it, so that a changed file starts over.

    Args:
        url: URL of the file.
        part: File to write.
        name: Name for the progress bar.

    Raises:
        CutError: The connection failed or ended early; the received data is in ``part``.
        BadAnswerError: The server refused.
        OSError: ``part`` is not writable.
    """
    tag = part.with_name(f"{part.name}.tag")
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
    try:
        timeout = (_CONNECT_TIMEOUT, _READ_TIMEOUT)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()
                raise CutError("the server's file is smaller than the part already downloaded")
            _check(answer)
            if answer.status_code != requests.codes.partial_content:
                have = 0
            _keep_tag(answer, tag)
            _write(answer, part, have, name)
    except requests.exceptions.InvalidURL as error:
        raise BadAnswerError(str(error)) from error
    except requests.RequestException as error:
        raise CutError(_reason(error)) from error


def _check(answer: requests.Response) -> None:
    status = f"{answer.status_code} {answer.reason}"
    if answer.status_code >= 500 or answer.status_code in (408, 429):
        raise CutError(f"the server responded {status}")
    if answer.status_code >= 400:
        raise BadAnswerError(f"the server responded {status}")


def _keep_tag(answer: requests.Response, tag: Path) -> None:
    etag = answer.headers.get("ETag", "")
    mark = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
    if mark:
        tag.write_text(mark, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def _write(answer: requests.Response, part: Path, have: int, name: str) -> None:
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    with part.open("ab" if have else "wb") as file, progress() as bar:
        task = bar.add_task(f"{name} (MB)", total=total and total / _MEGABYTE, completed=int(have / _MEGABYTE))
        for block in answer.iter_content(_BLOCK):
            file.write(block)
            have += len(block)
            bar.update(task, completed=have / _MEGABYTE)
    if total is not None and have != total:
        raise CutError(f"the connection ended after {have} of {total} bytes")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused the connection"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be verified"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {_CONNECT_TIMEOUT} seconds"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"no data for {_READ_TIMEOUT} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended early"
    return "no connection to the server, or it was lost"
