"""Whether this process is the kernel of a notebook."""

from __future__ import annotations

import sys
from typing import TextIO


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, rather than a terminal or a program."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def messages() -> TextIO:
    """Where a line about the work belongs: stderr, or a cell's output."""
    return sys.stdout if in_notebook() else sys.stderr
