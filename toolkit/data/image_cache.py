"""Decoded images kept in memory, for small data sets that are read in many epochs."""

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
_UNKNOWN = 2 * 10**9  # bytes assumed to be free if the system does not say


class ImageCache:
    """Cache images until the memory limit is reached; further images are made again each time.

    Nothing is evicted: an epoch reads every image once, so evicting any image for another would only cost a read.

    Args:
        room: Maximum bytes of pixels to keep; None: half of the memory that is free now, reported in one line.
    """

    def __init__(self, room: int | None = None) -> None:
        if room is None:
            room = int(SHARE * free_memory() / world_size())
            info(f"decoded images are kept in memory, up to {room / 1e9:.1f} GB ({SHARE:.0%} of what is free)")
        self.room = room
        self.used = 0
        self._images: dict[Hashable, Pixels] = {}
        self._full = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of cached images."""
        return len(self._images)

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """Return a cached image, or make it and cache it if there is room. Thread-safe.

        Args:
            key: Identifies the image.
            make: Makes the image; must return the same pixels each time.

        Returns:
            Read-only pixels.
        """
        kept = self._images.get(key)
        if kept is not None:
            return kept
        image = np.ascontiguousarray(make())
        if image.base is not None:
            image = image.copy()  # a view would keep the whole original in memory
        image.setflags(write=False)
        with self._lock:
            fits = self.used + image.nbytes <= self.room
            if fits and key not in self._images:
                self._images[key] = image
                self.used += image.nbytes
            says_so, self._full = not fits and not self._full, self._full or not fits
        if says_so:
            info(f"the memory for decoded images is full: {len(self)} are kept, others are decoded in every epoch")
        return image


def free_memory() -> int:
    """Return the bytes that this process may still use: the free memory of the system or of its cgroup, if less."""
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
