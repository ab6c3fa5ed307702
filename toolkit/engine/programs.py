"""The frozen part of a network as a program, for the fastest engine that this machine has.

Dygraph computes layer by layer. A traced program in Paddle Inference (oneDNN) or in ONNX Runtime fuses layers and is
several times faster on a CPU, most so with small batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.console import warn
from toolkit.errors import DeployError
from toolkit.inference import InferenceSession, OnnxSession, convert_program, onnx_is_installed, save_program
from toolkit.runtime import available_cores
from toolkit.zoo import StagedNetwork

__all__ = ["BATCH", "Engine", "Floats", "Part", "Program", "choose_engine", "load_runner", "traced", "workers"]

Engine = Literal["dygraph", "paddle", "onnx"]
Floats = NDArray[np.floating[Any]]

BATCH = {"dygraph": 16, "paddle": 4, "onnx": 4}
"""Images a call; on the CPUs that were tried small batches are best, as activations stay in the processor's cache."""
_FEW = 64
"""For fewer images tracing a program takes longer than it saves."""
_MOST_WORKERS = 8


def workers() -> int:
    """Number of threads or processes that compute at a time."""
    return min(_MOST_WORKERS, available_cores())


class Part(nn.Layer):
    """Some consecutive stages of a network as a layer, with the pooling behind them where features are kept pooled.

    Args:
        network: The network.
        start: Stages before the first of these.
        stop: Stages up to and with the last of these.
    """

    def __init__(self, network: StagedNetwork, start: int, stop: int) -> None:
        super().__init__()
        self.network = network
        self._start, self._stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """From the input of stage ``start + 1`` to the output of stage ``stop``."""
        z = self.network.features(x, self._stop, self._start)
        return self.network.pool(z) if self.network.pooled_after(self._stop) else z


def choose_engine(wanted: str, device: str, rows: int) -> Engine:
    """The engine that computes features.

    Args:
        wanted: ``auto``, ``paddle``, ``onnx`` or ``dygraph``.
        device: Paddle's name of the device; engines are for the CPU, a GPU takes dygraph.
        rows: Number of images.

    Raises:
        DeployError: ONNX Runtime is wanted, but not installed.
    """
    if wanted == "onnx" and not onnx_is_installed():
        raise DeployError(
            "cache.engine is onnx, but ONNX Runtime is not installed",
            hint='pip install -e ".[onnx]", or set cache.engine: auto',
        )
    if wanted == "auto":
        wanted = "dygraph" if rows < _FEW else "onnx" if onnx_is_installed() else "paddle"
    if device != "cpu":
        return "dygraph"
    return wanted  # type: ignore[return-value]


@dataclass(frozen=True)
class Program:
    """A traced part on disk.

    Attributes:
        engine: What runs it.
        files: The program and its weights, or the ``.onnx`` file.
    """

    engine: Engine
    files: tuple[Path, ...]

    def load(self, threads: int) -> Callable[[NDArray[np.float32]], Floats]:
        """A function from a batch to its features."""
        if self.engine == "onnx":
            return OnnxSession(self.files[0], threads=threads).run
        return InferenceSession(*self.files, threads=threads).run


@contextmanager
def traced(part: Part, shape: Sequence[int], engine: Engine) -> Iterator[Program | None]:
    """A part as a program, for as long as the context lasts.

    Args:
        part: What to trace.
        shape: Of one input, without the batch axis.
        engine: What will run it.

    Yields:
        The program. None for dygraph, and where no program can be made, of which one line tells.
    """
    if engine == "dygraph":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="toolkit-") as name:
        folder = Path(name)
        try:
            files: tuple[Path, ...] = save_program(part, folder, shape)
            if engine == "onnx":
                files = (convert_program(files[0], files[1], folder / "part.onnx"),)
            program = Program(engine, files)
        except DeployError as error:
            warn(f"features are computed in dygraph, which is slower: {error.message}")
            program = None
        yield program


def load_runner(part: Part, shape: Sequence[int], engine: Engine) -> Callable[[NDArray[np.float32]], Floats] | None:
    """A function from one batch to its features, on all cores, for batches that come one after the other.

    Args:
        part: What to compute.
        shape: Of one input, without the batch axis.
        engine: What computes it.

    Returns:
        The function; None for dygraph, and where no program can be made.
    """
    with traced(part, shape, engine) as program:
        if program is None:
            return None
        size = BATCH[program.engine]
        if program.engine == "paddle":
            run = program.load(workers())
            return lambda inputs: np.concatenate([run(piece) for piece in _pieces(inputs, size)])
        sessions = [program.load(1) for _ in range(workers())]
    pool = ThreadPoolExecutor(len(sessions), thread_name_prefix="features")

    def in_threads(inputs: NDArray[np.float32]) -> Floats:
        pieces = _pieces(inputs, size)
        shares = [pieces[number :: len(sessions)] for number in range(len(sessions))]
        done = pool.map(lambda run, share: [run(piece) for piece in share], sessions, shares)
        found = [iter(each) for each in done]
        return np.concatenate([next(found[number % len(found)]) for number in range(len(pieces))])

    return in_threads


def _pieces(inputs: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [inputs[start : start + size] for start in range(0, len(inputs), size)]
