"""Paddle Inference behind the common interface: a batch of images in, outputs out."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from paddle import inference

from toolkit.core.errors import DeployError

PADDLE_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, OSError, MemoryError, SystemError)
"""Exceptions that Paddle raises for its own errors."""
_GPU_POOL_MB = 100
_SHAPES_KEPT = 10  # number of input shapes (batch sizes) for which oneDNN caches primitives


def paddle_says(error: BaseException) -> str:
    """The informative line of Paddle's multi-line error messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+Error: )?\(\w+\) ", line)]
    return (telling or lines or [type(error).__name__])[-1]


def _configure(
    model: Path, params: Path, device: str, threads: int, optimize: bool, onednn: bool = True
) -> inference.Config:
    config = inference.Config(str(model), str(params))
    config.disable_glog_info()
    config.switch_ir_optim(optimize)
    if model.suffix == ".pdmodel":
        # Paddle 3 with a .json model: "Not find ... memory_optimize_pass" (PaddlePaddle/Paddle#75496); its
        # executor frees tensors by itself.
        config.enable_memory_optim()
    if device.startswith("gpu"):
        config.enable_use_gpu(_GPU_POOL_MB, int(device.partition(":")[2] or 0))
        return config
    config.disable_gpu()
    config.set_cpu_math_library_num_threads(threads)
    if not onednn:
        # Paddle 3 has it on unless told otherwise; Paddle 2 has it off.
        if hasattr(config, "disable_onednn"):
            config.disable_onednn()
        elif hasattr(config, "disable_mkldnn"):
            config.disable_mkldnn()
        return config
    if hasattr(config, "enable_onednn"):  # Paddle 3.1 renamed it
        config.enable_onednn()
        config.set_onednn_cache_capacity(_SHAPES_KEPT)
    else:
        config.enable_mkldnn()
        config.set_mkldnn_cache_capacity(_SHAPES_KEPT)
    return config


class InferenceSession:
    """A model loaded into Paddle Inference; on a CPU with oneDNN, several times faster than Paddle's dygraph mode.

    Thread-safe: calls wait for each other. For parallel work, create one session per thread.

    Args:
        model: ``inference.json`` or ``inference.pdmodel``.
        params: ``inference.pdiparams``.
        device: ``cpu`` or ``gpu:k``.
        threads: CPU threads, at least 1.
        optimize: Fuse layers; takes seconds for large networks and pays off after a few dozen images.
        onednn: Use oneDNN on a CPU. Some networks give wrong results with it, or crash: see ``trusted_engine``.

    Raises:
        DeployError: Paddle cannot load the files.
    """

    def __init__(
        self,
        model: Path,
        params: Path,
        *,
        device: str = "cpu",
        threads: int = 1,
        optimize: bool = True,
        onednn: bool = True,
    ) -> None:
        self.model = model
        self._lock = Lock()
        try:
            self._predictor = inference.create_predictor(_configure(model, params, device, threads, optimize, onednn))
        except PADDLE_ERRORS as error:
            raise DeployError(
                f"Paddle Inference cannot load {model}: {paddle_says(error)}",
                hint="export the model again with the installed version of Paddle",
            ) from error
        inputs, outputs = self._predictor.get_input_names(), self._predictor.get_output_names()
        if len(inputs) != 1 or len(outputs) != 1:
            raise DeployError(f"{model} has inputs {inputs} and outputs {outputs}; expected one of each")
        self.input_name: str = inputs[0]
        self.output_name: str = outputs[0]

    def run(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one batch.

        Args:
            images: float32 ``[N, C, S, S]``, N at least 1.

        Returns:
            float32 ``[N, outputs]``.

        Raises:
            DeployError: Paddle failed on the batch.
        """
        batch = np.ascontiguousarray(images, np.float32)
        try:
            with self._lock:
                self._predictor.get_input_handle(self.input_name).copy_from_cpu(batch)
                self._predictor.run()
                output: npt.NDArray[np.float32] = self._predictor.get_output_handle(self.output_name).copy_to_cpu()
        except PADDLE_ERRORS as error:
            raise DeployError(f"{self.model} failed on a batch of shape {batch.shape}: {paddle_says(error)}") from error
        return output
