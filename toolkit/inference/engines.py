"""The engines that can run a program, and the fallbacks for untrusted ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.inference.onnx import OnnxSession
from toolkit.inference.session import InferenceSession

Engine = Literal["dygraph", "paddle", "paddle without oneDNN", "onnx"]
Floats = NDArray[np.floating[Any]]

TO_TRY: Mapping[Engine, tuple[Engine, ...]] = MappingProxyType(
    {
        "dygraph": (),
        "paddle without oneDNN": ("paddle without oneDNN",),
        "paddle": ("paddle", "paddle without oneDNN"),
        "onnx": ("onnx", "paddle", "paddle without oneDNN"),
    }
)
"""Requested engine -> engines to try, in order; dygraph, the reference, comes last."""
TITLES: Mapping[Engine, str] = MappingProxyType(
    {
        "dygraph": "dygraph",
        "paddle": "Paddle Inference with oneDNN",
        "paddle without oneDNN": "Paddle Inference without oneDNN",
        "onnx": "ONNX Runtime",
    }
)


@dataclass(frozen=True)
class TracedProgram:
    """A traced layer on disk.

    Attributes:
        engine: The engine that runs it.
        files: The program and its weights, or the ``.onnx`` file.
    """

    engine: Engine
    files: tuple[Path, ...]

    def load(self, threads: int) -> Callable[[NDArray[np.float32]], Floats]:
        """Load the program as a function from a batch to its outputs.

        Raises:
            DeployError: The engine cannot load the files.
        """
        if self.engine == "onnx":
            return OnnxSession(self.files[0], threads=threads).run
        return InferenceSession(*self.files, threads=threads, onednn=self.engine == "paddle").run
