"""The feature cache: outputs of frozen stages on disk: checked, resumable, shared by runs, limited in size."""

from toolkit.cache.entry import Entry
from toolkit.cache.features import Features
from toolkit.cache.key import CacheKey
from toolkit.cache.store import FeatureStore, feature_bytes
from toolkit.cache.upkeep import EntryInfo, Problem
from toolkit.cache.writer import DtypeOverflowError, Writer

__all__ = [
    "CacheKey",
    "DtypeOverflowError",
    "Entry",
    "EntryInfo",
    "FeatureStore",
    "Features",
    "Problem",
    "Writer",
    "feature_bytes",
]
