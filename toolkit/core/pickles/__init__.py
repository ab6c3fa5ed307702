"""Pickles of plain data, read without running what they say and without taking more than their size allows."""

from toolkit.core.pickles.making import BadPickleError, RefusedPickleError, shortened
from toolkit.core.pickles.reader import read_plain

__all__ = ["BadPickleError", "RefusedPickleError", "read_plain", "shortened"]
