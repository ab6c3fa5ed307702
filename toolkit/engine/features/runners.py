"""The frozen part of a network as a program for the fastest available engine.

Dygraph computes layer by layer. A traced program in Paddle Inference (oneDNN) or in ONNX Runtime fuses layers and is
several times faster on a CPU, especially with small batches.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.core.console import warn
from toolkit.core.digest import fingerprint
from toolkit.core.errors import DeployError
from toolkit.core.runtime import available_cores
from toolkit.inference import (
    Comparison,
    Engine,
    Floats,
    TracedProgram,
    convert_program,
    onnx_is_installed,
    save_program,
    structure_of,
    trusted_engine,
)
from toolkit.zoo import StagedNetwork

BATCH = {"dygraph": 16, "paddle": 4, "paddle without oneDNN": 4, "onnx": 4}
"""Images per call; small batches were fastest on the tested CPUs, as activations stay in the cache."""
_FEW = 64
"""With fewer images, tracing a program takes longer than it saves."""
_MOST_WORKERS = 8


def workers() -> int:
    """Number of threads or processes that compute in parallel."""
    return min(_MOST_WORKERS, available_cores())


class StageSlice(nn.Layer):
    """Consecutive stages of a network as a layer, followed by pooling if features are cached pooled.

    Args:
        network: The network.
        start: Number of stages before the first one.
        stop: Number of stages up to and including the last one.
    """

    def __init__(self, network: StagedNetwork, start: int, stop: int) -> None:
        super().__init__()
        self.network = network
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """Map the input of stage ``start + 1`` to the output of stage ``stop``."""
        z = self.network.features(x, self.stop, self.start)
        return self.network.pool(z) if self.network.pooled_after(self.stop) else z

    @property
    def _joins(self) -> bool:
        """Whether the outputs are features of several stages."""
        return bool(self.network.taps) and self.stop == len(self.network.stage_names)

    def facts(self) -> list[object]:
        """What determines its outputs besides layers and weights; plain values."""
        network = self.network
        facts = [repr(network.spec), self.start, self.stop, network.pooled_after(self.stop), network.pooling]
        return [*facts, list(network.taps)] if self._joins else facts

    def digest(self) -> str:
        """Digest of its weights."""
        stages = [fingerprint(self.network.stage_state(index)) for index in range(self.start, self.stop)]
        return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:32]

    def pieces(self, outputs: Floats) -> list[Floats]:
        """Split the outputs into parts with their own scale."""
        if not self._joins:
            return [outputs]
        return np.split(outputs, np.cumsum(self.network.feature_pieces)[:-1], axis=1)


def choose_engine(wanted: str, device: str, rows: int) -> Engine:
    """Choose the engine that computes features.

    Args:
        wanted: ``auto``, ``paddle``, ``onnx`` or ``dygraph``.
        device: Paddle's name of the device; engines are for the CPU, a GPU takes dygraph.
        rows: Number of images.

    Raises:
        DeployError: ONNX Runtime was requested but is not installed.
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


class Tracing:
    """Stages as programs for engines, created on first use and deleted when the context ends.

    Args:
        stage_slice: What to trace.
        shape: Shape of one input, without the batch axis.
    """

    def __init__(self, stage_slice: StageSlice, shape: Sequence[int]) -> None:
        self.stage_slice = stage_slice
        self._shape = tuple(shape)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._made: dict[bool, tuple[Path, ...]] = {}

    def __enter__(self) -> Tracing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def trusted(self, wanted: Engine, rows: Callable[[], NDArray[np.float32]]) -> Engine:
        """The wanted engine or its fallback for these stages; see ``trusted_engine``.

        Args:
            wanted: The requested engine.
            rows: A few real inputs.
        """
        stage_slice, network = self.stage_slice, self.stage_slice.network
        title = f"{network.spec.name} up to {network.stage_names[stage_slice.stop - 1]}"
        structure = [self._shape, stage_slice.facts(), structure_of(stage_slice, f"network.{network.spec.head}")]
        return trusted_engine(
            wanted,
            Comparison(
                title, stage_slice, structure, stage_slice.digest, rows, self.program, pieces=stage_slice.pieces
            ),
        )

    def program(self, engine: Engine) -> TracedProgram:
        """The program for an engine other than dygraph.

        Raises:
            DeployError: The program cannot be created.
        """
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="toolkit-")
        folder, onnx = Path(self._folder.name), engine == "onnx"
        if False not in self._made:
            self._made[False] = save_program(self.stage_slice, folder, self._shape)
        if onnx and True not in self._made:
            model, params = self._made[False]
            self._made[True] = (convert_program(model, params, folder / "part.onnx"),)
        return TracedProgram(engine, self._made[onnx])

    def program_or_none(self, engine: Engine) -> TracedProgram | None:
        """Like ``program``; None for dygraph, or (with a warning) if no program can be created."""
        if engine == "dygraph":
            return None
        try:
            return self.program(engine)
        except DeployError as error:
            warn(f"features are computed in dygraph, which is slower: {error.message}")
            return None


@contextmanager
def traced(
    stage_slice: StageSlice, shape: Sequence[int], engine: Engine, rows: Callable[[], NDArray[np.float32]] | None = None
) -> Iterator[TracedProgram | None]:
    """Stages as a program, available within the context.

    Args:
        stage_slice: What to trace.
        shape: Shape of one input, without the batch axis.
        engine: The requested engine.
        rows: A few real inputs, on which the engine is first compared with dygraph; None: no comparison.

    Yields:
        The program. None for dygraph, and (with a message) for an engine that cannot be trusted or has no program.
    """
    with Tracing(stage_slice, shape) as tracing:
        yield tracing.program_or_none(engine if rows is None else tracing.trusted(engine, rows))


def load_runner(
    stage_slice: StageSlice, shape: Sequence[int], engine: Engine, rows: Callable[[], NDArray[np.float32]]
) -> Callable[[NDArray[np.float32]], Floats] | None:
    """A function that maps a batch to its features on all cores, for batches in sequence.

    Args:
        stage_slice: The stages to compute.
        shape: Shape of one input, without the batch axis.
        engine: The requested engine.
        rows: As for ``traced``.

    Returns:
        The function; None if dygraph is used.
    """
    with traced(stage_slice, shape, engine, rows) as program:
        if program is None:
            return None
        size = BATCH[program.engine]
        if program.engine != "onnx":
            run = program.load(workers())
            return lambda inputs: np.concatenate([run(piece) for piece in _pieces(inputs, size)])
        sessions = [program.load(1) for _ in range(workers())]
    pool = ThreadPoolExecutor(len(sessions), thread_name_prefix="features")

    def in_threads(inputs: NDArray[np.float32]) -> Floats:
        pieces = _pieces(inputs, size)
        shares = [pieces[index :: len(sessions)] for index in range(len(sessions))]
        done = pool.map(lambda run, share: [run(piece) for piece in share], sessions, shares)
        results = [iter(outputs) for outputs in done]
        return np.concatenate([next(results[index % len(results)]) for index in range(len(pieces))])

    return in_threads


def _pieces(inputs: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [inputs[start : start + size] for start in range(0, len(inputs), size)]
