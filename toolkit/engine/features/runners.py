"""The frozen part of a network as a program, for the fastest engine that this machine has.

Dygraph computes layer by layer. A traced program in Paddle Inference (oneDNN) or in ONNX Runtime fuses layers and is
several times faster on a CPU, most so with small batches.
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
"""Images a call; on the CPUs that were tried small batches are best, as activations stay in the processor's cache."""
_FEW = 64
"""For fewer images tracing a program takes longer than it saves."""
_MOST_WORKERS = 8


def workers() -> int:
    """Number of threads or processes that compute at a time."""
    return min(_MOST_WORKERS, available_cores())


class StageSlice(nn.Layer):
    """Some consecutive stages of a network as a layer, with the pooling behind them where features are kept pooled.

    Args:
        network: The network.
        start: Stages before the first of these.
        stop: Stages up to and with the last of these.
    """

    def __init__(self, network: StagedNetwork, start: int, stop: int) -> None:
        super().__init__()
        self.network = network
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """From the input of stage ``start + 1`` to the output of stage ``stop``."""
        z = self.network.features(x, self.stop, self.start)
        return self.network.pool(z) if self.network.pooled_after(self.stop) else z

    def facts(self) -> list[object]:
        """What decides on its outputs beside layers and weights; plain values."""
        network = self.network
        return [repr(network.spec), self.start, self.stop, network.pooled_after(self.stop), network.pooling]

    def digest(self) -> str:
        """Digest of the weights that it reads."""
        stages = [fingerprint(self.network.stage_state(index)) for index in range(self.start, self.stop)]
        return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:32]

    def pieces(self, outputs: Floats) -> list[Floats]:
        """Parts of the outputs that have a scale of their own."""
        return [outputs]


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


class Tracing:
    """A part as programs for engines, each made when it is first asked for; they are gone when the context ends.

    Args:
        stage_slice: What to trace.
        shape: Of one input, without the batch axis.
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
        """The wanted engine, or what takes its place for this part; see ``trusted_engine``.

        Args:
            wanted: What should compute it.
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
        """The part for an engine other than dygraph.

        Raises:
            DeployError: It cannot be made.
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
        """The same; None for dygraph, and where no program can be made, of which one line tells."""
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
    """A part as a program, for as long as the context lasts.

    Args:
        stage_slice: What to trace.
        shape: Of one input, without the batch axis.
        engine: What shall run it.
        rows: A few real inputs, on which the engine is compared with dygraph first; None: it is taken as it is.

    Yields:
        The program. None for dygraph, also in place of an engine that cannot be trusted or has no program, of which
        one line tells.
    """
    with Tracing(stage_slice, shape) as tracing:
        yield tracing.program_or_none(engine if rows is None else tracing.trusted(engine, rows))


def load_runner(
    stage_slice: StageSlice, shape: Sequence[int], engine: Engine, rows: Callable[[], NDArray[np.float32]]
) -> Callable[[NDArray[np.float32]], Floats] | None:
    """A function from one batch to its features, on all cores, for batches that come one after the other.

    Args:
        stage_slice: What to compute.
        shape: Of one input, without the batch axis.
        engine: What shall compute it.
        rows: As for ``traced``.

    Returns:
        The function; None where dygraph computes it.
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
        shares = [pieces[number :: len(sessions)] for number in range(len(sessions))]
        done = pool.map(lambda run, share: [run(piece) for piece in share], sessions, shares)
        found = [iter(each) for each in done]
        return np.concatenate([next(found[number % len(found)]) for number in range(len(pieces))])

    return in_threads


def _pieces(inputs: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [inputs[start : start + size] for start in range(0, len(inputs), size)]
