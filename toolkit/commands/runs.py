"""Commands on a trained run: the run defines its network, with which the current config and data are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.commands.app import Outcome
from toolkit.commands.arguments import run_config
from toolkit.commands.shift import shift_table, shift_words
from toolkit.config import Config, DataConfig, load_config
from toolkit.core.console import command, info, new_table, warn
from toolkit.core.errors import ConfigError, DataError, TrainingError
from toolkit.data import ImageSet, build_data
from toolkit.data.labelled import match_classes, read_labelled
from toolkit.data.signature import split_signatures
from toolkit.data.views import MOST_VIEWS
from toolkit.deploy import export_run
from toolkit.deploy.manifest import MANIFEST_NAME
from toolkit.engine import RunFolder, build_job
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.runs.folder import flat
from toolkit.engine.runs.model_facts import ModelFacts
from toolkit.engine.runs.resume import check_same_data, seen_as_before
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.runs.trained import TrainedRun, load_trained
from toolkit.engine.shift import measure_shift

_PIXELS = ("image_size", "crop_ratio", "mean", "std", "flip", "alpha", "bit_depth", "window")
_FIXED = ("task", "model", *(f"data.{name}" for name in _PIXELS))
"""Keys that define a network and its preprocessing."""
_WITHOUT_EFFECT = ("transfer", "callbacks", "seed", "train.epochs", "train.lr", "train.optimizer", "train.solver")


@dataclass(frozen=True)
class GivenRun:
    """A run, and the options given with it.

    Attributes:
        folder: Folder of the run.
        config: The config given by ``-c`` and ``-o``.
        asked: Keys of that config that differ from the run's own config, with their values.
        overridden: Keys given by ``-o``.
    """

    folder: RunFolder
    config: Config
    asked: Mapping[str, Any]
    overridden: tuple[str, ...]


def find_run(run: Path | None, config_path: Path | None, overrides: Sequence[str] = ()) -> GivenRun:
    """Find a run by its folder, its ``config.yaml``, or a config whose name and ``output_dir`` point to it.

    Args:
        run: Folder of the run.
        config_path: A config, in the run's folder or elsewhere.
        overrides: ``key=value`` strings.

    Raises:
        ConfigError: Neither or both were given, or the folder is not a run.
        TrainingError: The config has no run yet.
    """
    if run is None and config_path is None:
        raise ConfigError("no run was given", hint="give its folder, for example runs/photos")
    if run is not None and config_path is not None:
        raise ConfigError(f"both a run ({run}) and a config ({config_path}) were given", hint="leave out one of them")
    path = config_path
    if run is not None:
        path = run_config(run)
    elif config_path is not None and config_path.is_dir():
        path = run_config(config_path)
    assert path is not None
    config = load_config(path, overrides)
    folder = RunFolder(path.parent)
    if run is None and not folder.record.is_file():
        folder = RunFolder(config.output_dir.expanduser() / config.name)
        if not folder.config.is_file():
            raise TrainingError(
                f"no trained run for {path}: {folder.path} does not exist",
                hint=f"train first: {command('train', '-c', path)}",
            )
    own = flat(load_config(folder.config).model_dump(mode="json"))
    given = flat(config.model_dump(mode="json", exclude_unset=True))
    asked = {key: value for key, value in given.items() if own.get(key) != value}
    return GivenRun(folder, config, asked, tuple(text.partition("=")[0].strip() for text in overrides))


def evaluate(
    given: GivenRun, data: Path | None = None, tta: int | None = None, severities: Sequence[int] = ()
) -> Outcome:
    """Evaluate the best epoch of a run with the preprocessing and classes that it was trained with.

    Args:
        given: The run; ``data`` keys that differ from its own tell where its images are now.
        data: Labelled images to evaluate, all of them, instead of the run's test or validation images; see
            ``read_labelled``.
        tta: Number of views of each image to average; by default ``train.tta``.
        severities: Also evaluate under the corruptions of ``toolkit.data.corruptions`` at these severities, 1 to 5.
    """
    views = given.config.train.tta if tta is None else tta
    if not 1 <= views <= MOST_VIEWS:
        raise ConfigError(f"--tta is {views}; expected 1 to {MOST_VIEWS} views of an image")
    run = load_trained(given.folder, given.config.train.device, given.config.data.workers)
    _check_asked(given, run.facts, "an evaluation")
    asked = {key.partition(".")[2]: value for key, value in given.asked.items() if key.startswith("data.")}
    config = DataConfig.model_validate({**run.config.data.model_dump(), **asked})
    split, images = _evaluated(run, config, data)
    shift = measure_shift(run, images, severities, views) if severities else None
    metrics = run.evaluate(images, views) if shift is None else dict(shift.metrics)
    seen = f", mean of {views} views" if views > 1 else ""
    source = data if data is not None or split != "all images" else config.root
    where = split if source is None else f"{source} ({split})"
    table = new_table(f"{run.folder.path}: {where}, {len(images)} images{seen}", "metric", "value")
    for metric in run.objective.task.shown(len(run.facts.classes)):
        table.add_row(metric.title, f"{metrics[metric.name]:.4f}")
    payload = {"run_dir": str(run.folder.path), **metrics, "split": split, "images": len(images)}
    payload.update({"views": views} if views > 1 else {}, **({} if source is None else {"data": str(source)}))
    if shift is None:
        return Outcome(payload, [table, next_for(run.folder)])
    shown: list[Any] = [table, shift_table(shift), shift_words(shift), next_for(run.folder)]
    return Outcome({**payload, "shift": shift.to_json()}, shown)


def export(given: GivenRun, output: Path | None = None) -> Outcome:
    """Export the best epoch of a run, and check the exported model against the network."""
    run = load_trained(given.folder, given.config.train.device)
    _check_asked(given, run.facts, "an export", "data.classes")
    folder = export_run(run, output or run.folder.inference, given.config.train.tta)
    return Outcome({"run_dir": str(run.folder.path), "inference": str(folder)}, [exported(folder)])


def report(given: GivenRun, severities: Sequence[int] = ()) -> Outcome:
    """Write ``report.html`` of the best epoch of a run, finished or not, on the images that it was evaluated on.

    Args:
        given: The run; ``data.root`` may tell where its images are now.
        severities: Severities of the section on corrupted images; by default there is none.

    Raises:
        TrainingError: No epoch is complete yet, or the weights are damaged.
        DataError: The images are missing or have changed.
        ConfigError: The options contradict those the run was trained with.
    """
    from toolkit.explain import write_report  # matplotlib takes time to import

    run, folder = load_trained(given.folder, given.config.train.device), given.folder
    _check_asked(given, run.facts, "a report")
    asked = {key.partition(".")[2]: value for key, value in given.asked.items() if key.startswith("data.")}
    data = DataConfig.model_validate({**run.config.data.model_dump(), **asked})
    train = run.config.train.model_copy(update={"device": given.config.train.device})
    try:
        job = build_job(run.config.model_copy(update={"data": data, "train": train}), weights=folder.best)
    except DataError as error:
        raise DataError(
            f"a report needs the run's own images: {error.message}",
            hint=f"specify where they are now: {command('report', folder.path, '-o', 'data.root=FOLDER')}",
        ) from None
    check_same_data(folder, job)
    job = seen_as_before(job, folder)
    batches = FeatureSource(job).for_evaluation(job.data.evaluation[1])
    outputs, labels = loader_outputs(job.network, batches, job.config.train)
    shift = measure_shift(run, job.data.evaluation[1], severities) if severities else None
    page = write_report(job, folder, outputs, labels, result=_result(folder), shift=shift)
    payload = {"run_dir": str(folder.path), "report": str(page), **({"shift": shift.to_json()} if shift else {})}
    return Outcome(payload, [f"report: {page}", next_for(folder)])


def _result(folder: RunFolder) -> Mapping[str, Any]:
    """Return the result in a run's record or, for an unfinished run, in its newest checkpoint."""
    known: Mapping[str, Any] | None = folder.read_record().get("result")
    if known is not None:
        return known
    try:
        state = TrainingState.load(folder.last if folder.last.is_file() else folder.previous)
    except TrainingError as error:
        warn(f"best epoch and time are unknown: {error.message}")
        return {}
    return {"best": state.best or {}, "seconds": state.seconds}


def exported(folder: Path) -> str:
    """Return one line about an exported model."""
    return f"exported to {folder}; try: {command('predict', folder, 'IMAGE')}"


def next_for(folder: RunFolder) -> str:
    """Return a suggestion for using a run: predict with it, once it is exported."""
    ready = (folder.inference / MANIFEST_NAME).is_file()
    return f"try: {command('predict', folder.path, 'IMAGE') if ready else command('export', folder.path)}"


def _evaluated(run: TrainedRun, config: DataConfig, data: Path | None) -> tuple[str, ImageSet]:
    """Return the name and the images of the evaluated split, labelled in terms of the run's classes."""
    facts, seen = run.facts, run.facts.preprocessing
    read = partial(read_labelled, known=facts.classes, task=facts.task, channels=seen.channels, decoding=seen.decoding)
    if data is not None:
        return "all images", read(data, config)
    elsewhere = config.root is not None and config.root != run.config.data.root and config.format == "folder"
    try:
        bundle = build_data(config, facts.task, seen.channels)
    except DataError:
        if not elsewhere or config.root is None:
            raise
        return "all images", read(config.root, config)
    split, images = bundle.evaluation
    images = match_classes(images, bundle.classes, facts.classes)
    if _was_evaluated(run, split, images, config):
        return split, images
    if elsewhere and config.root is not None:
        return "all images", read(config.root, config)
    warn(
        f"{split}: these are not the images that the run was evaluated on; if they are drawn from all images, "
        "some may have been used for training (--data FOLDER evaluates new ones)"
    )
    return split, images


def _was_evaluated(run: TrainedRun, split: str, images: ImageSet, config: DataConfig) -> bool:
    """Return whether a split is the one evaluated in training; True for runs of earlier versions, which do not tell."""
    known = (run.folder.read_record().get("data") or {}).get("signatures")
    return known is None or known.get(split) == split_signatures({split: images}, config.root)[split]


def _check_asked(given: GivenRun, facts: ModelFacts, what: str, *more: str) -> None:
    """Refuse options that change the run's network or preprocessing.

    Raises:
        ConfigError: Such a key has a different value.
    """
    own: dict[str, Any] = {f"data.{key}": value for key, value in facts.preprocessing.to_dict().items()}
    own.update({"data.flip": facts.flip, "data.classes": list(facts.classes), "task": facts.task})
    for key, value in given.asked.items():
        fixed = any(f"{key}.".startswith(f"{name}.") for name in (*_FIXED, *more)) and key != "model.pretrained"
        if fixed and value is not None and not key.startswith("model.pretrained.") and own.get(key) != value:
            was = f"{key} {own[key]}" if key in own else f"another {key}"
            raise ConfigError(
                f"{given.folder.path} was trained with {was}, not {value}",
                hint=f"leave out {key}: {what} takes it from the run",
            )
    idle = [key for key in given.overridden if key.startswith(_WITHOUT_EFFECT) or key.startswith("model.pretrained")]
    if idle:
        info(f"no effect on {what}: {', '.join(idle)}")
