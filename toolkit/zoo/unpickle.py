"""Read the pickles that ``paddle.save`` writes, without executing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.core.errors import WeightsError
from toolkit.core.pickles import BadPickleError, RefusedPickleError, read_plain


def read_pickle(path: str | Path) -> Any:
    """Read plain data from a pickle.

    Args:
        path: A file that ``paddle.save`` wrote: weights, or the state of an optimizer.

    Returns:
        Dictionaries, lists, tuples, text, numbers and arrays, nested as in the file.

    Raises:
        WeightsError: The file is not a pickle, is damaged, or names something that plain data does not need. Nothing
            that it names was imported or called, and reading it took time and memory in proportion to its size (see
            ``toolkit.core.pickles``).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return read_plain(file, path.stat().st_size)
    except RefusedPickleError as error:
        raise WeightsError(
            f"{path} was refused: it asks for {error}, which weights never need",
            hint="the file may be malicious; nothing in it was run; use weights from a source that you trust",
        ) from None
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error
    except BadPickleError as error:
        raise WeightsError(
            f"{path} is not a weights file, or is damaged ({error})",
            hint="expected a .pdparams or .safetensors file",
        ) from error
