"""ONNX Runtime behind the common interface: a batch in, an array out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DeployError

_NEEDED = ("onnxruntime", "paddle2onnx")
_ERRORS_ONLY = 3


def onnx_is_installed() -> bool:
    """Whether the ``onnx`` extra is installed."""
    return all(find_spec(name) is not None for name in _NEEDED)


def convert_program(model: Path, params: Path, target: Path) -> Path:
    """Convert a saved program to an ONNX file; the batch size stays dynamic.

    Args:
        model: ``inference.json`` or ``inference.pdmodel``.
        params: ``inference.pdiparams``.
        target: The ``.onnx`` file to write.

    Returns:
        ``target``.

    Raises:
        DeployError: paddle2onnx is not installed, or cannot convert the program.
    """
    try:
        import paddle2onnx
    except ImportError as error:
        raise DeployError("paddle2onnx is not installed", hint='pip install "paddle-finetune[onnx]"') from error
    try:
        # The default optimize_tool, polygraphy, would be installed at run time with pip from its own host.
        with _hushed():
            paddle2onnx.export(str(model), str(params), str(target), verbose=False, optimize_tool="None")
    except Exception as error:  # its C++ part raises many kinds of errors
        raise DeployError(f"paddle2onnx cannot convert {model}: {str(error).splitlines()[0][:200]}") from error
    if not target.is_file():
        raise DeployError(f"paddle2onnx wrote no file for {model}")
    return target


@contextmanager
def _hushed() -> Iterator[None]:
    """Discard output, including that of C++: paddle2onnx prints progress, and errors that its exception repeats."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
            for descriptor in (1, 2):
                os.dup2(nothing.fileno(), descriptor)
            yield
    finally:
        for descriptor, real in zip((1, 2), kept, strict=True):
            os.dup2(real, descriptor)
            os.close(real)


class OnnxSession:
    """A model loaded into ONNX Runtime on the CPU. Thread-safe; releases the GIL while running.

    Args:
        path: An ``.onnx`` file with one input and one output.
        threads: CPU threads, at least 1.

    Raises:
        DeployError: ONNX Runtime is not installed, or cannot load the file.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise DeployError("onnxruntime is not installed", hint='pip install "paddle-finetune[onnx]"') from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        self.path = path
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # many kinds of errors, without a common base
            raise DeployError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0][:200]}") from error
        self._input = self._session.get_inputs()[0].name

    def run(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one batch, float32 ``[N, ...]`` to float32 ``[N, ...]``.

        Raises:
            DeployError: ONNX Runtime failed on the batch.
        """
        try:
            output: npt.NDArray[np.float32] = self._session.run(None, {self._input: images})[0]
        except Exception as error:
            message = str(error).splitlines()[0][:200]
            raise DeployError(f"{self.path} failed on a batch of shape {images.shape}: {message}") from error
        return output
