"""Entry point to the engines: before one is used, a few real rows are run through it and compared with dygraph.

Engines fuse and reorder operations, and some networks give wrong results or crash the process: with oneDNN, Paddle
Inference 3.3.1 is off by more than the largest output for ConvNeXt, and crashes when it loads CSPDarkNet53.
``benchmarks/engines.md`` lists every network of the zoo.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from toolkit.core.console import info
from toolkit.core.errors import DeployError
from toolkit.core.evaluation import evaluating
from toolkit.inference.engines import TITLES, TO_TRY, Engine, Floats, TracedProgram
from toolkit.inference.trial import Trial, TrialError, outputs_of
from toolkit.inference.verdicts import Known, Verdicts, key_of

TOLERANCE = 1e-3
"""Largest difference to dygraph, as a share of the largest output. Rounding stays two orders of magnitude below it, and
wrong results lie two above (``benchmarks/engines.md``); float16, the type of cached feature maps, rounds to 5e-4."""
_LEAST_SECONDS, _TIMES = 120.0, 50.0
"""Time limit of a process: this many seconds, plus a multiple of dygraph's time for the same rows."""
_FOLDER = re.compile(r"\S*toolkit-[^/\\\s]+[/\\]")
"""Matches a temporary folder in a message to store."""
_said: set[str] = set()


@dataclass
class Comparison:
    """A layer, and what is needed to compare engines on it.

    Attributes:
        title: Display name.
        layer: Computes the reference; its modes do not change.
        structure: What the verdict depends on besides engine, machine and weights; plain values.
        weights: Digest of the layer's weights.
        rows: A few real inputs; float32 ``[N, ...]``.
        make: Creates the program for an engine; raises ``DeployError`` if there is none.
        pieces: Splits the outputs into parts, each compared on its own scale.
    """

    title: str
    layer: nn.Layer
    structure: Any
    weights: Callable[[], str]
    rows: Callable[[], NDArray[np.float32]]
    make: Callable[[Engine], TracedProgram]
    pieces: Callable[[Floats], list[Floats]] = lambda outputs: [outputs]

    @cached_property
    def digest(self) -> str:
        """Digest of the layer's weights."""
        return self.weights()

    @cached_property
    def inputs(self) -> NDArray[np.float32]:
        """The rows to compare on."""
        return np.asarray(self.rows(), np.float32)

    @cached_property
    def reference(self) -> tuple[Floats, float]:
        """The outputs of dygraph, as in ``outputs_of``, and the seconds it took."""
        start = time.monotonic()
        with evaluating(self.layer):
            outputs = self.layer(paddle.to_tensor(self.inputs)).numpy()
        return np.concatenate([outputs, outputs[:1]]), time.monotonic() - start

    def difference(self, outputs: Floats) -> float:
        """The largest ``relative_difference`` of a piece; NaN if dygraph's own outputs are not finite."""
        expected = self.reference[0]
        if not np.isfinite(expected).all():
            return float("nan")
        if outputs.shape != expected.shape:
            return float("inf")
        pieces = zip(self.pieces(outputs), self.pieces(expected), strict=True)
        return max(relative_difference(*pair) for pair in pieces)


def relative_difference(outputs: Floats, expected: Floats) -> float:
    """Largest difference as a share of the largest expected value; infinite if an output is not finite."""
    if not np.isfinite(outputs).all():
        return float("inf")
    return float(np.abs(outputs - expected).max() / (np.abs(expected).max() or 1.0))


def trusted_engine(wanted: Engine, comparison: Comparison, verdicts: Verdicts | None = None) -> Engine:
    """The wanted engine, or the first fallback that runs and agrees with dygraph; reports a fallback.

    Results are remembered for these weights on this machine with these versions. An engine that has not run this
    structure yet is tried in a separate process; if only the weights are new, in this one.

    Args:
        wanted: The engine that should compute the layer.
        comparison: The layer, and rows to compare on.
        verdicts: Known results; by default the user's file.

    Returns:
        The engine; ``dygraph`` if none can be trusted.

    Raises:
        ToolkitError: A row cannot be read.
    """
    verdicts, reasons = verdicts or Verdicts(), dict[str, list[str]]()
    for engine in TO_TRY[wanted]:
        known = _find(engine, comparison, verdicts)
        reason = _reason(known)
        if not reason and comparison.digest not in known.differences:
            info(f"{comparison.title}: dygraph's own outputs are not finite, so engines cannot be compared")
            return "dygraph"
        if not reason:
            break
        reasons.setdefault(reason, []).append(TITLES[engine])
    else:
        engine = "dygraph"
    if reasons:
        failures = "; ".join(f"{' and '.join(names)} {reason}" for reason, names in reasons.items())
        _say_once(f"{comparison.title}: {failures}; computed by {TITLES[engine]}")
    return engine


def failure_of(engine: Engine, comparison: Comparison, verdicts: Verdicts | None = None) -> str:
    """Why an engine cannot be trusted with a layer, based on results with any weights; empty if it can.

    For callers that check its outputs for these weights themselves.

    Args:
        engine: Any but dygraph.
        comparison: As for ``trusted_engine``.
        verdicts: As for ``trusted_engine``.
    """
    return _reason(_find(engine, comparison, verdicts or Verdicts(), compared=False))


def _reason(known: Known) -> str:
    """Why an engine cannot be trusted: wrong results with some weights may occur with others."""
    return known.failure or _judged(max(known.differences.values(), default=0.0))


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        info(message)


def _judged(difference: float) -> str:
    return "" if difference <= TOLERANCE else f"is off by {difference:.2g} of the largest output"


def _find(engine: Engine, comparison: Comparison, verdicts: Verdicts, *, compared: bool = True) -> Known:
    """What is known of an engine, tried now if that is not enough; ``compared``: for the current weights."""

    def enough(known: Known | None) -> bool:
        return known is not None and (_reason(known) != "" or not compared or comparison.digest in known.differences)

    key = key_of(engine, comparison.structure)
    known = verdicts.find(key)
    if known is not None and enough(known):
        return known
    with verdicts.alone():
        known = verdicts.find(key)  # another process may have tried it in the meantime
        return known if known is not None and enough(known) else _tried(engine, comparison, verdicts, key, known)


def _tried(engine: Engine, comparison: Comparison, verdicts: Verdicts, key: str, known: Known | None) -> Known:
    """Try an engine, and store lasting results."""
    new = known or Known(f"{comparison.title} in {TITLES[engine]}")
    try:
        outputs = _outputs(engine, comparison, apart=known is None)
    except TrialError as error:
        new.failure = error.reason
        verdicts.add(key, new, lasting=error.lasting)
        return new
    difference = comparison.difference(outputs)
    if not np.isnan(difference):
        new.differences[comparison.digest] = difference
    verdicts.add(key, new)
    return new


def _outputs(engine: Engine, comparison: Comparison, *, apart: bool) -> Floats:
    """An engine's outputs for the rows, as in ``outputs_of``; ``apart``: in a separate process."""
    try:
        if not apart:
            return outputs_of(comparison.make(engine).load(1), comparison.inputs)
        with Trial() as trial:
            program = comparison.make(engine)
            limit = _LEAST_SECONDS + _TIMES * comparison.reference[1]
            return trial.run(program, comparison.inputs, limit)
    except DeployError as error:
        raise TrialError(f"refuses: {_FOLDER.sub('', error.message)}", lasting=True) from error
    except OSError as error:  # a full disk or similar
        raise TrialError(f"cannot be tried ({error})", lasting=False) from error
