"""Facts of a trained network: task and classes of its outputs, and the preprocessing of its input.

A run writes these facts beside its weights, and later users of the weights read them from there. The current data
folder may have other classes, in another order, and says nothing about a network trained earlier.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast, get_args

from toolkit.config import load_config
from toolkit.core.errors import TrainingError
from toolkit.data import Preprocessing, normalisation
from toolkit.data.augmentation import Flip
from toolkit.data.channels import RGB
from toolkit.data.formats.registry import FORMATS
from toolkit.engine.runs.folder import RunFolder
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo import get_spec


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a trained network.

    Attributes:
        task: Task, which determines what the outputs are.
        classes: Names of the classes, labels or targets; index i is output i.
        preprocessing: Maps an image to the network's input.
        flip: Mirroring that preserves the meaning of an image.
        cut: Number of stages that the network keeps; None: all.
        head_stages: Names of the stages whose pooled features the head reads; (): the last one alone.
    """

    task: TaskName
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    flip: Flip = "none"
    cut: int | None = None
    head_stages: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "flip": self.flip,
            "cut": self.cut,
            **({"head_stages": list(self.head_stages)} if self.head_stages else {}),
        }

    @classmethod
    def from_dict(cls, values: Any) -> ModelFacts:
        """The inverse of ``to_dict``.

        Raises:
            ValueError: A value is missing or has the wrong type.
        """
        try:
            task, flip, classes, cut = (values[key] for key in ("task", "flip", "classes", "cut"))
            preprocessing = Preprocessing.from_dict(values["preprocessing"])
            read = tuple(map(str, values.get("head_stages", ())))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"incomplete facts of a model: {error!r}") from error
        known = task in TASKS and flip in get_args(Flip) and (cut is None or isinstance(cut, int))
        if not known or not isinstance(classes, list) or not classes:
            raise ValueError("incomplete facts of a model")
        return cls(cast(TaskName, task), tuple(map(str, classes)), preprocessing, cast(Flip, flip), cut, read)


def stored_facts(folder: RunFolder) -> ModelFacts:
    """The facts of a run's network, from beside its best weights or from ``run.json``.

    Runs of earlier versions have the classes in ``run.json``, and the rest follows from their ``config.yaml``.

    Raises:
        TrainingError: The classes of the run are unknown.
    """
    for file, read in ((folder.best_digest, _beside_weights), (folder.record, _in_record)):
        try:
            facts = read(folder) if file.is_file() else None
        except (AttributeError, OSError, RecursionError, TypeError, ValueError):
            continue
        if facts is not None:
            return facts
    raise TrainingError(
        f"{folder.path} does not list its network's classes: run.json and checkpoints/best.json are missing or damaged",
        hint="restore one of them, or train again",
    )


def _beside_weights(folder: RunFolder) -> ModelFacts | None:
    values = json.loads(folder.best_digest.read_text(encoding="utf-8"))
    return ModelFacts.from_dict(values["model"]) if isinstance(values, dict) and "model" in values else None


def _in_record(folder: RunFolder) -> ModelFacts | None:
    record = json.loads(folder.record.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        return None
    if "model" in record:
        return ModelFacts.from_dict(record["model"])
    classes, cut = (record.get("data") or {}).get("classes"), (record.get("plan") or {}).get("cut")
    return _of_earlier_version(folder, tuple(classes), cut) if classes else None


def _of_earlier_version(folder: RunFolder, classes: tuple[str, ...], cut: int | None) -> ModelFacts:
    config = load_config(folder.config)
    spec, known, data = get_spec(config.model.name), FORMATS[config.data.format], config.data
    mean, std = normalisation(data, spec.mean, spec.std, config.model.in_channels or RGB)
    preprocessing = Preprocessing(data.image_size or spec.input_size, data.crop_ratio or known.crop_ratio, mean, std)
    return ModelFacts(config.task, classes, preprocessing, known.flip if data.flip == "auto" else data.flip, cut)
