"""The origin of a run's starting weights: its ancestors, the oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.config import plan_of
from toolkit.pages.words import metric_words
from toolkit.tasks import TASKS

_ORIGINS = {"paddle": "ImageNet, from Paddle's model zoo", "random": "random"}
_BEGINNINGS = {"paddle": "ImageNet", "random": "random weights"}
_NAMED = 6
"""Maximum number of classes to name."""


@dataclass(frozen=True)
class Ancestor:
    """An earlier run whose weights led to this run.

    Attributes:
        name: Name of the run.
        folder: Folder of the run.
        network: Network.
        preset: Preset.
        data: Description of its data.
        result: Main metric of its best epoch, formatted.
    """

    name: str
    folder: str
    network: str
    preset: str
    data: str
    result: str


def origin_words(weights: str) -> str:
    """Describe the origin of weights: ``paddle``, ``random``, or a file or URL."""
    return _ORIGINS.get(weights, weights)


def lineage(record: Mapping[str, Any]) -> list[Ancestor]:
    """Return the ancestors in ``run.json``, the oldest first; records of earlier versions have none."""
    return [_ancestor(entry) for entry in record.get("ancestry") or []]


def chain(record: Mapping[str, Any]) -> list[str]:
    """Return the starting weights of the oldest ancestor, then the ancestors' names; empty without ancestors."""
    entries = record.get("ancestry") or []
    if not entries:
        return []
    weights = str(entries[0].get("weights") or "unknown weights")
    return [_BEGINNINGS.get(weights, weights), *(str(entry.get("name", "?")) for entry in entries)]


def _ancestor(entry: Mapping[str, Any]) -> Ancestor:
    data = entry.get("data") or {}
    task = TASKS.get(data.get("task", "classification"), TASKS["classification"])
    result = (entry.get("result") or {}).get(task.main.name)
    return Ancestor(
        name=str(entry.get("name", "?")),
        folder=str(entry.get("run_dir", "")),
        network=str(entry.get("network") or "–"),
        preset=str(plan_of(entry.get("preset")) or "–"),
        data=_data_words(data, task.outputs) if data else "–",
        result="–" if result is None else f"{task.main.title} {metric_words(task.main.name, result)}",
    )


def _data_words(data: Mapping[str, Any], kind: str) -> str:
    """Describe data as in ``5 classes (0, 1, 2, 3, 4), 900 images``."""
    classes: Sequence[str] = data.get("classes") or ()
    plural = "" if len(classes) == 1 else "es" if kind.endswith("s") else "s"
    names = ", ".join(map(str, classes[:_NAMED])) + (", …" if len(classes) > _NAMED else "")
    words = f"{len(classes):,} {kind}{plural}" + (f" ({names})" if names else "")
    images = data.get("images")
    return words + (f", {images:,} images" if isinstance(images, int) else "")
