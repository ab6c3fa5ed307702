"""The machine: CPU settings that must be set before Paddle is imported, device, seeds and ranks.

Paddle reads ``OMP_NUM_THREADS`` and MKL's settings once, when it is imported. By default it uses one thread and, on AMD
processors, a slow path of the MKL it ships. In addition, glibc's allocator returns the memory of activations to the
system after every step, only to request it again in the next. ``configure_cpu`` therefore runs when ``toolkit`` is
imported. It changes only what the user has not set, and remembers the settings in effect so that a run can report them.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.core.errors import DeviceError
from toolkit.core.home import writable_home
from toolkit.core.notebook import in_notebook, messages


@dataclass(frozen=True)
class CpuSettings:
    """The CPU settings of this process.

    Attributes:
        threads: Value of ``OMP_NUM_THREADS``.
        threads_from: ``"toolkit"``, or ``"environment"`` if the user set it.
        mkl_debug_cpu_type: Value of ``MKL_DEBUG_CPU_TYPE`` (``"5"``: the fast AVX2 path on AMD), or None.
        in_time: False if Paddle was imported first, so that the settings have no effect.
        memory_kept: Whether glibc's allocator keeps freed memory for the next step.
    """

    threads: str
    threads_from: str
    mkl_debug_cpu_type: str | None
    in_time: bool
    memory_kept: bool = False

    def __str__(self) -> str:
        late = "" if self.in_time else "; paddle was imported before toolkit: not in effect"
        mkl = f", MKL_DEBUG_CPU_TYPE={self.mkl_debug_cpu_type}" if self.mkl_debug_cpu_type else ""
        memory = ", freed memory kept" if self.memory_kept else ""
        return f"OMP_NUM_THREADS={self.threads} (set by the {self.threads_from}){mkl}{late}{memory}"


_settings: CpuSettings | None = None
_BLOCKTIME = "1"
"""Milliseconds that idle OpenMP threads spin before they sleep: the default 200 starves other threads of a core."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _MOST_INT = -1, -4, 2**31 - 1  # of glibc's malloc.h


def available_cores() -> int:
    """Number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def _is_amd_with_avx2() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "AMD" in platform.processor()
    return "AuthenticAMD" in text and "avx2" in text


def environment_setting(name: str) -> str | None:
    """The value of ``PADDLE_FINETUNE_<name>``, or of its former name ``TOOLKIT_<name>``; None if empty or unset."""
    value, former = os.environ.get(f"PADDLE_FINETUNE_{name}"), os.environ.get(f"TOOLKIT_{name}")
    if not value and former and name not in _renamed:
        _renamed.add(name)
        if is_main_process():
            messages().write(f"TOOLKIT_{name} is now PADDLE_FINETUNE_{name}; the old name still works\n")
    return value or former or None


_renamed: set[str] = set()
"""Settings whose former name was reported."""


def _keep_freed_memory() -> bool:
    """Make glibc's allocator keep freed memory: training steps run up to 1.2x faster and use slightly more memory.

    ``PADDLE_FINETUNE_MALLOC=system`` leaves the allocator alone, as do the user's own settings (``GLIBC_TUNABLES``,
    ``MALLOC_*``).

    Returns:
        Whether the allocator accepted the setting.
    """
    theirs = [name for name in os.environ if name == "GLIBC_TUNABLES" or name.startswith("MALLOC_")]
    if not sys.platform.startswith("linux") or theirs or environment_setting("MALLOC") == "system":
        return False
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and another allocator may be preloaded
    if mallopt is None or "libjemalloc" in os.environ.get("LD_PRELOAD", ""):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _MOST_INT))


def _local_processes() -> int:
    """Processes of the job that share this machine's cores, as set by ``paddle.distributed.launch``."""
    return max(1, int(os.environ.get("PADDLE_LOCAL_SIZE", "1") or 1))


def configure_cpu() -> CpuSettings:
    """Set threads and MKL in the environment, unless the user has; called when ``toolkit`` is imported."""
    global _settings
    if _settings is None:
        in_time = "paddle" not in sys.modules
        threads_from = "environment" if "OMP_NUM_THREADS" in os.environ else "toolkit"
        if in_time:
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // _local_processes())))
            if _is_amd_with_avx2():
                os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
            os.environ.setdefault("KMP_BLOCKTIME", _BLOCKTIME)
        _settings = CpuSettings(
            threads=os.environ.get("OMP_NUM_THREADS", "1"),
            threads_from=threads_from,
            mkl_debug_cpu_type=os.environ.get("MKL_DEBUG_CPU_TYPE"),
            in_time=in_time,
            memory_kept=_keep_freed_memory(),
        )
    return _settings


def cpu_settings() -> CpuSettings:
    """The settings in effect in this process."""
    return configure_cpu()


NOT_BROUGHT = {
    "paddle": 'Paddle is not installed: pip install "paddle-finetune[cpu]"; for a GPU, see paddlepaddle.org.cn/install',
    "cv2": 'OpenCV is not installed: pip install "paddle-finetune[opencv]", or opencv-python on a desktop',
}
"""Modules with several distributions, which the user chooses, and what to do if one is missing."""


def import_paddle() -> None:
    """Import Paddle without warnings that do not concern the user of a tool.

    They are about OMP_NUM_THREADS, a missing compiler cache, and BatchNorm statistics in training.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    captured = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stderr(captured), writable_home():
        warnings.filterwarnings("ignore", message="No ccache found")
        import paddle  # noqa: F401
    remarks = [line for line in captured.getvalue().splitlines(keepends=True) if "OMP_NUM_THREADS" not in line]
    messages().write("".join(remarks))
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")


def import_paddle_for_notebook() -> None:
    """Import Paddle now, in a notebook: a later ``import paddle`` of the user shows its remarks on a red background."""
    if in_notebook() and "paddle" not in sys.modules:
        with contextlib.suppress(ImportError):
            import_paddle()


def rank() -> int:
    """Rank of this process in a ``paddle.distributed.launch`` job; 0 outside a job."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0"))


def world_size() -> int:
    """Number of processes in the job; 1 outside a job."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Make Paddle treat this process as the only one of its job within the context."""
    name, processes = "PADDLE_TRAINERS_NUM", world_size()
    if processes > 1:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if processes > 1:
            os.environ[name] = str(processes)


def is_main_process() -> bool:
    """Whether this is the process that writes files and messages."""
    return rank() == 0


def select_device(wanted: str = "auto") -> str:
    """Choose and set Paddle's device.

    Args:
        wanted: ``auto`` (a GPU if Paddle was built with CUDA and sees one), ``cpu``, ``gpu`` or ``gpu:k``.

    Returns:
        The device in Paddle's notation, ``cpu`` or ``gpu:k``.

    Raises:
        DeviceError: A GPU was requested and cannot be used.
    """
    import paddle

    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    local = int(os.environ.get("FLAGS_selected_gpus", "0").split(",")[0] or 0)
    if wanted == "auto":
        wanted = f"gpu:{local}" if gpus else "cpu"
    elif wanted == "gpu":
        wanted = f"gpu:{local}"
    if wanted.startswith("gpu"):
        if not paddle.is_compiled_with_cuda():
            raise DeviceError(
                f"device {wanted} was requested, but this paddle {paddle.__version__} was built for the CPU only",
                hint="install paddlepaddle-gpu (see README, 'GPU'), or use train.device: auto",
            )
        index = int(wanted.partition(":")[2] or 0)
        if index >= gpus:
            raise DeviceError(
                f"device {wanted} was requested, but paddle sees {gpus} GPU(s)",
                hint="check nvidia-smi and CUDA_VISIBLE_DEVICES, or use train.device: auto",
            )
    paddle.set_device(wanted)
    return wanted


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and Paddle's random generators."""
    import numpy as np
    import paddle

    random.seed(seed)
    np.random.seed(seed % 2**32)
    paddle.seed(seed)


def versions() -> dict[str, Any]:
    """Versions and machine details recorded by a run."""
    import cv2
    import numpy as np
    import paddle

    import toolkit

    return {
        "toolkit": toolkit.__version__,
        "paddle": paddle.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": available_cores(),
        "cpu": asdict(cpu_settings()),
    }
