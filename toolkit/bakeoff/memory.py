"""Peak memory of a process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import paddle

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Return the peak resident memory of this process so far, in bytes; on a GPU, the peak that Paddle allocated there.

    On Linux this is ``VmHWM``, because ``ru_maxrss`` starts with the value of the parent process.
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
