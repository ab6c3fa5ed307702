"""Decoded pictures kept in memory, for small sets that are read in many epochs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np

from toolkit.core.console import info
from toolkit.core.runtime import world_size
from toolkit.data.channels import Pixels

SHARE = 0.5  # of the free memory, over all processes of a job
_MEMINFO = Path("/proc/meminfo")
_CGROUP = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)  # version 2, version 1
_UNKNOWN = 2 * 10**9  # bytes taken to be free where the system does not say


class ImageCache:
    """Keeps pictures until its room is used up; then it keeps what it has, and others are made anew each time.

    (Nothing is thrown out: an epoch reads every picture once, so that a picture thrown out for another is one read
    more, whichever it is.)

    Args:
        room: Bytes of pixels to keep at most; None: half of the memory that is free now, which is said in one line.
    """

    def __init__(self, room: int | None = None) -> None:
        if room is None:
            room = int(SHARE * free_memory() / world_size())
            info(f"decoded images are kept in memory, up to {room / 1e9:.1f} GB ({SHARE:.0%} of what is free)")
        self.room = room
        self.used = 0
        self._pictures: dict[Hashable, Pixels] = {}
        self._full = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of pictures that are kept."""
        return len(self._pictures)

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """A picture that is kept, or else a new one, which is kept if there is room. May be called in many threads.

        Args:
            key: What the picture is.
            make: Makes it; the same pixels each time.

        Returns:
            Read-only pixels.
        """
        kept = self._pictures.get(key)
        if kept is not None:
            return kept
        picture = np.ascontiguousarray(make())
        if picture.base is not None:
            picture = picture.copy()  # a view would keep all of the other picture
        picture.setflags(write=False)
        with self._lock:
            fits = self.used + picture.nbytes <= self.room
            if fits and key not in self._pictures:
                self._pictures[key] = picture
                self.used += picture.nbytes
            says_so, self._full = not fits and not self._full, self._full or not fits
        if says_so:
            info(f"the memory for decoded images is full: {len(self)} are kept, others are decoded in every epoch")
        return picture


def free_memory() -> int:
    """Bytes that this process may still take: what the system has, or its control group, if that is less."""
    amounts = [amount for limit, used in _CGROUP if (amount := _left(limit, used)) is not None]
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        amounts.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, ValueError, KeyError, IndexError):
        pages = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" in pages:
            amounts.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(amounts, default=_UNKNOWN))


def _left(limit: Path, used: Path) -> int | None:
    try:
        return int(limit.read_text()) - int(used.read_text())  # without a limit: "max", or a very large number
    except (OSError, ValueError):
        return None
