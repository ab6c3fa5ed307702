"""``inference.yml``: describes an exported model, so that it can be used without the run that produced it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import numpy as np
import yaml

from toolkit.core.console import command
from toolkit.core.digest import file_digest
from toolkit.core.errors import DeployError
from toolkit.core.names import did_you_mean
from toolkit.core.newer import record_version, refuse_newer
from toolkit.core.yaml_text import parse_yaml
from toolkit.data import Preprocessing
from toolkit.data.augmentation import Flip
from toolkit.data.views import MOST_VIEWS
from toolkit.deploy.recipe import preprocessing_steps
from toolkit.tasks import TASKS, TaskName

MANIFEST_NAME = "inference.yml"
_FORMAT = 1
_COLORS = {1: "gray", 3: "RGB"}
_AGAIN = f"export the model again: {command('export', 'RUN')}"
_T = TypeVar("_T")


@dataclass(frozen=True)
class ModelFile:
    """One file of an exported model.

    Attributes:
        name: File name inside the folder.
        bytes: Size in bytes.
        sha256: Hex digest.
    """

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> ModelFile:
        """Describe a file."""
        return cls(name=path.name, bytes=path.stat().st_size, sha256=file_digest(path))

    def check(self, folder: Path) -> Path:
        """Check that the file in ``folder`` is the exported one.

        Paddle may crash the process on a damaged model, so this must come before loading.

        Returns:
            The path of the file.

        Raises:
            DeployError: The file is missing or different.
        """
        path = folder / self.name
        if not path.is_file():
            raise DeployError(f"{folder} has no {self.name}, which its {MANIFEST_NAME} names", hint=_AGAIN)
        size = path.stat().st_size
        if size != self.bytes:
            raise DeployError(f"{path} has {size} bytes instead of {self.bytes}: damaged or replaced", hint=_AGAIN)
        if file_digest(path) != self.sha256:
            raise DeployError(f"{path} is not the file that was exported: damaged or replaced", hint=_AGAIN)
        return path


@dataclass(frozen=True)
class Manifest:
    """Everything that a user of an exported model must know.

    Attributes:
        network: Name of the network in the zoo.
        image_size: Side of the square input, pixels.
        labels: Names of the classes, labels or targets; position i is output i.
        preprocessing: Preprocessing as returned by ``toolkit.data.Preprocessing.to_dict``; the file adds ``steps``, a
            description in words.
        model: The program, ``inference.json`` (Paddle 3) or ``inference.pdmodel`` (Paddle 2).
        params: The weights.
        input_name: Name of the input, float32 ``[N, channels, image_size, image_size]``.
        output_name: Name of the output, float32 ``[N, len(labels)]``: probabilities, or values in the targets' units.
        versions: Versions of ``toolkit`` and ``paddle`` that wrote the model.
        extra: Additional information from the exporter.
        task: What the outputs are; defaults to classification.
        flip: Mirroring that does not change the meaning of an image; defaults to ``none``.
        tta: Number of views per image whose outputs to average; defaults to 1.
        onednn: Whether oneDNN may be used on a CPU; defaults to yes.
        onednn_note: Human-readable reason.
    """

    network: str
    image_size: int
    labels: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    model: ModelFile
    params: ModelFile
    input_name: str
    output_name: str
    versions: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)
    task: TaskName = "classification"
    flip: Flip = "none"
    tta: int = 1
    onednn: bool = True
    onednn_note: str = ""

    @property
    def channels(self) -> int:
        """Number of input channels, one for each mean of the preprocessing."""
        return len(self.preprocessing["mean"])

    def write(self, folder: Path) -> Path:
        """Write ``inference.yml`` (UTF-8; labels in the order of the outputs).

        Raises:
            DeployError: The preprocessing is invalid.
        """
        side, channels = self.image_size, self.channels
        content = {
            "format": _FORMAT,
            "task": self.task,
            "network": self.network,
            "image_size": side,
            "input": {
                "name": self.input_name,
                "shape": [-1, channels, side, side],
                "dtype": "float32",
                "color": _COLORS.get(channels, "as in the file"),
            },
            "output": {
                "name": self.output_name,
                "shape": [-1, len(self.labels)],
                "dtype": "float32",
                "is": TASKS[self.task].activation,
            },
            "preprocessing": {**self.preprocessing, "steps": preprocessing_steps(self.pipeline(folder))},
            "test_time_augmentation": {"flip": self.flip, "views": self.tta},
            "runtime": {"onednn": self.onednn, "note": self.onednn_note},
            "files": {"model": vars(self.model), "params": vars(self.params)},
            "versions": dict(self.versions),
            "extra": dict(self.extra),
            "labels": list(self.labels),
        }
        path = folder / MANIFEST_NAME
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, default_flow_style=None, width=120)
        path.write_text(text, encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``inference.yml``.

        Raises:
            DeployError: The folder or the file is missing, or the file is incomplete or invalid.
            NewerError: A newer version of the toolkit wrote it, in another format.
        """
        values = _load(folder)
        path = folder / MANIFEST_NAME
        refuse_newer(path, values.get("format"), record_version(values), _FORMAT)
        if values.get("format") != _FORMAT:
            raise DeployError(
                f"{path} has format {values.get('format')!r}, but this version of the toolkit reads format {_FORMAT}",
                hint=_AGAIN,
            )
        labels = tuple(str(label) for label in _get(path, values, "labels", list))
        if not labels:
            raise DeployError(f"{path} has no labels", hint=_AGAIN)
        _check_shapes(path, values)
        flip, views = _test_time(path, values)
        onednn, note = _runtime(path, values)
        return cls(
            network=_get(path, values, "network", str),
            image_size=_get(path, values, "image_size", int),
            labels=labels,
            preprocessing=_get(path, values, "preprocessing", dict),
            model=_model_file(path, values, "model"),
            params=_model_file(path, values, "params"),
            input_name=_get(path, values, "input.name", str),
            output_name=_get(path, values, "output.name", str),
            versions=_get(path, values, "versions", dict),
            extra=_get(path, values, "extra", dict),
            task=_task(path, values),
            flip=flip,
            tta=views,
            onednn=onednn,
            onednn_note=note,
        )

    def pipeline(self, folder: Path) -> Preprocessing:
        """Return the preprocessing, ready to use.

        Args:
            folder: Folder of the manifest, for the message.

        Raises:
            DeployError: A value is missing or not a number, or the size contradicts ``image_size``.
        """
        try:
            preprocessing = Preprocessing.from_dict(self.preprocessing)
        except (KeyError, TypeError, ValueError) as error:
            raise DeployError(f"{folder / MANIFEST_NAME}: bad preprocessing ({error!r})", hint=_AGAIN) from error
        if not np.isfinite((*preprocessing.mean, *preprocessing.std)).all() or min(preprocessing.std) <= 0:
            raise DeployError(
                f"{folder / MANIFEST_NAME}: bad preprocessing (mean and std must be numbers, std above 0)", hint=_AGAIN
            )
        if preprocessing.image_size != self.image_size:
            raise DeployError(
                f"{folder / MANIFEST_NAME}: preprocessing produces {preprocessing.image_size} px, "
                f"but the model expects {self.image_size} px",
                hint=_AGAIN,
            )
        return preprocessing


def _task(path: Path, values: Mapping[str, Any]) -> TaskName:
    """Read the task, which must be known and agree with the output."""
    name = values.get("task", "classification")
    if not isinstance(name, str) or name not in TASKS:
        guess = did_you_mean(str(name), TASKS) or f"known are {', '.join(TASKS)}"
        raise DeployError(f"{path}: task is {name!r}; {guess}", hint=_AGAIN)
    task = cast(TaskName, name)
    output = _get(path, values, "output", dict).get("is", TASKS[task].activation)
    if output != TASKS[task].activation:
        raise DeployError(f"{path}: task is {name}, but output.is says {output!r}", hint=_AGAIN)
    return task


def _test_time(path: Path, values: Mapping[str, Any]) -> tuple[Flip, int]:
    """Read mirroring and number of views, which older files lack."""
    facts = values.get("test_time_augmentation", {})
    flip, views = (facts.get("flip", "none"), facts.get("views", 1)) if isinstance(facts, dict) else (None, None)
    known = isinstance(views, int) and 1 <= views <= MOST_VIEWS
    if flip not in get_args(Flip) or not known:
        raise DeployError(
            f"{path}: test_time_augmentation is {facts!r}; expected flip {', '.join(get_args(Flip))} and "
            f"1 to {MOST_VIEWS} views",
            hint=_AGAIN,
        )
    return cast(Flip, flip), cast(int, views)


def _runtime(path: Path, values: Mapping[str, Any]) -> tuple[bool, str]:
    """Read whether oneDNN may be used, and why, which older files lack."""
    facts = values.get("runtime", {})
    onednn = facts.get("onednn", True) if isinstance(facts, dict) else None
    if not isinstance(onednn, bool):
        raise DeployError(f"{path}: runtime is {facts!r}; expected onednn, true or false", hint=_AGAIN)
    return onednn, str(facts.get("note", ""))


def _check_shapes(path: Path, values: Mapping[str, Any]) -> None:
    """Check that the channels of the input shape, if given, match the preprocessing."""
    shape = _get(path, values, "input", dict).get("shape")
    mean = _get(path, values, "preprocessing", dict).get("mean")
    if isinstance(shape, list) and isinstance(mean, list) and shape[1:2] != [len(mean)]:
        raise DeployError(
            f"{path}: the input has shape {shape}, but preprocessing.mean has {len(mean)} channels", hint=_AGAIN
        )


def _load(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise DeployError(f"{folder} is not a folder; expected an exported model", hint="give runs/<name>/inference")
    if not path.is_file():
        raise DeployError(
            f"{folder} is not an exported model: it has no {MANIFEST_NAME}",
            hint="give the folder that export wrote, for example runs/<name>/inference",
        )
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise DeployError(f"cannot read {path}: {first}", hint=_AGAIN) from error
    if not isinstance(values, dict):
        raise DeployError(f"{path} is not a mapping", hint=_AGAIN)
    return values


def _get(path: Path, values: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise DeployError(f"{path}: {key} is missing or not of type {kind.__name__}", hint=_AGAIN)
    return value


def _model_file(path: Path, values: Mapping[str, Any], which: str) -> ModelFile:
    name = _get(path, values, f"files.{which}.name", str)
    if Path(name).name != name:
        raise DeployError(f"{path}: files.{which}.name must be a plain file name, not {name}", hint=_AGAIN)
    return ModelFile(
        name=name,
        bytes=_get(path, values, f"files.{which}.bytes", int),
        sha256=_get(path, values, f"files.{which}.sha256", str),
    )
