"""Read and write weights, without ever executing a file.

A ``.pdparams`` file is a pickle, and a pickle is a program. It is read by ``toolkit.core.pickles``, which supports only
plain data. A ``.safetensors`` file holds only data. Neither takes more time or memory than its size allows.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from paddle import Tensor
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from toolkit.core.digest import file_digest
from toolkit.core.errors import WeightsError
from toolkit.core.files import atomic_file
from toolkit.core.pickles import shortened
from toolkit.zoo.unpickle import read_pickle
from toolkit.zoo.wrong_files import refuse_exported, refuse_optimizer, refuse_resume_checkpoint

_NAME_TABLE = "StructuredToParameterName@@"
_SPLIT_TABLE = "UnpackBigParamInfor@@"
_LONGEST_HEADER = 16 * 2**20
"""Maximum bytes of a safetensors header: room for 150,000 arrays."""
_SAFETENSORS_NUMBERS = {
    "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "F32", "F64", "C64",
}  # fmt: skip


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a weights file.

    Args:
        path: A ``.pdparams`` or ``.safetensors`` file; detected by content.

    Returns:
        Arrays by state-dict key.

    Raises:
        WeightsError: The file does not exist, is something else, or is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error
    _refuse_other_than_written(path)
    if start.startswith(b"PK\x03\x04"):
        raise WeightsError(
            f"{path} is not a weights file but a zip archive, as written by torch.save and numpy.savez",
            hint="load it there, and write a dictionary of numpy arrays with paddle.save or safetensors",
        )
    if start[8:9] == b"{" and path.stat().st_size > int.from_bytes(start[:8], "little"):
        return _read_safetensors(path)
    refuse_exported(path, start)
    content = read_pickle(path)
    refuse_optimizer(path, content)
    return _arrays(content, path)


def _refuse_other_than_written(path: Path) -> None:
    """Reject a run's best weights, ``best.pdparams``, if the digests in ``best.json`` beside them differ."""
    beside = path.with_suffix(".json")
    if path.name != "best.pdparams" or not beside.is_file():
        return
    try:
        known = json.loads(beside.read_text(encoding="utf-8"))["sha256"]
    except (KeyError, OSError, RecursionError, TypeError, ValueError):
        return  # not written by a training
    if isinstance(known, list) and file_digest(path) not in known:
        raise WeightsError(
            f"{path} is damaged: it is not the file that the training wrote",
            hint="restore it from a copy, or train again",
        )


def write_weights(state: Mapping[str, Any], path: str | Path) -> None:
    """Write weights atomically.

    Args:
        state: Tensors or arrays by state-dict key.
        path: A file that ends in ``.safetensors``, or one (``.pdparams``) that ``paddle.load`` reads as well.
    """
    path = Path(path)
    arrays = {key: np.ascontiguousarray(_to_numpy(value)) for key, value in state.items()}
    with atomic_file(path) as temporary:
        if path.suffix == ".safetensors":
            safetensors.save_file(arrays, temporary)
        else:
            with temporary.open("wb") as file:
                pickle.dump(arrays, file, protocol=4)


def _to_numpy(value: Any) -> np.ndarray:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"weights must be numbers, not {array.dtype}")
    return array


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        _check_header(path)
        return _arrays(safetensors.load_file(path), path)
    except (SafetensorError, ArithmeticError, OSError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} is a damaged safetensors file: {shortened(str(error))}", hint="get the file again"
        ) from error


def _check_header(path: Path) -> None:
    """Check that a header is short, without duplicates, and has dtypes known to numpy; the library checks the rest."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LONGEST_HEADER:
            raise ValueError(f"a header of {size:,} bytes; the limit is {_LONGEST_HEADER:,}")
        header = json.loads(file.read(size), object_pairs_hook=_once)
    refuse_resume_checkpoint(path, header.get("__metadata__") or {})
    kinds = {str(facts["dtype"]) for name, facts in header.items() if name != "__metadata__"}
    foreign = sorted(kinds - _SAFETENSORS_NUMBERS)
    if foreign:
        raise WeightsError(
            f"{path} holds numbers of type {shortened(', '.join(foreign))}, which are not supported",
            hint="convert them to F32 or F16 in the program that wrote the file",
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("its header has a duplicate key")
    return mapping


def _arrays(content: Any, path: Path) -> dict[str, np.ndarray]:
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path} holds {_kind(content)}, not weights", hint=_EXPECTED)
    content.pop(_NAME_TABLE, None)
    _join(content, path)
    arrays, size = {}, path.stat().st_size
    for key, value in content.items():
        array = _array(value)
        name = shortened(repr(key[:100] if isinstance(key, (str, bytes)) else key))
        if array is None:
            raise WeightsError(f"{path} is not a weights file: {name} holds {_kind(value)}", hint=_EXPECTED)
        if not isinstance(key, str) or not key.isprintable():
            raise WeightsError(f"{path} is not a weights file: the name of an array is {name}", hint=_EXPECTED)
        if max(array.shape, default=0) > size:
            raise WeightsError(f"{path} is not a weights file: the shape of {name} is {array.shape}", hint=_EXPECTED)
        arrays[key] = array
    return arrays


_EXPECTED = "expected a dictionary of arrays, as paddle.save(network.state_dict(), path) writes it"


def _array(value: Any) -> np.ndarray | None:
    """Convert an array, a number, or Paddle's pair of name and array; None for anything else."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]
    if isinstance(value, (bool, int, float, np.generic)):
        value = np.asarray(value)
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" else None


def _join(content: dict[Any, Any], path: Path) -> None:
    """Join the arrays that pickle protocols 2 and 3 store in slices of at most 1 GB."""
    try:
        for key, plan in content.pop(_SPLIT_TABLE, {}).items():
            parts = [content.pop(part) for part in plan["slices"]]
            if {(type(part), part.dtype) for part in parts} != {(np.ndarray, parts[0].dtype)}:
                raise ValueError("slices of different kinds")
            content[key] = np.concatenate(parts).reshape(plan["OriginShape"])
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is a damaged weights file: its sliced arrays do not fit together") from error


def _kind(value: Any) -> str:
    return "nothing" if value is None or value == {} else f"a {type(value).__name__}"
