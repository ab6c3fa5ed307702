"""Reads pickles of plain data without executing them, in memory bounded by their size."""

from toolkit.core.pickles.making import BadPickleError, RefusedPickleError, shortened
from toolkit.core.pickles.reader import read_plain

__all__ = ["BadPickleError", "RefusedPickleError", "read_plain", "shortened"]
