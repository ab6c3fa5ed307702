"""The most memory that a process has used."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import paddle

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Most resident memory of this process so far, in bytes; on a GPU the most that Paddle has allocated there.

    Linux says it of the program itself (``VmHWM``): ``ru_maxrss`` begins with that of the process that started it.
    """
    if paddle.device.get_device().startswith("gpu"):
        return int(paddle.device.cuda.max_memory_allocated())
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
