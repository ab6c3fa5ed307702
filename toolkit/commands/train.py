"""The commands ``train`` and ``predict``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from toolkit.commands.app import Outcome
from toolkit.commands.arguments import run_folder
from toolkit.config import Config
from toolkit.core.console import command, console, new_table
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import is_main_process
from toolkit.data.pool import TIMEOUT
from toolkit.deploy import (
    NetworkPredictor,
    Predictor,
    expand_images,
    predictions_csv,
    predictions_table,
)
from toolkit.deploy.manifest import MANIFEST_NAME
from toolkit.engine import (
    RunFolder,
    RunResult,
)
from toolkit.tasks import Task
from toolkit.trainer import Trainer


def train(config: Config, resume: Path | str | None = None) -> Outcome:
    """Train; then compare presets, export, show examples and write the report, as set in the config.

    Args:
        config: The job.
        resume: Folder of an interrupted run to continue; ``auto`` for the newest of this config, if any.

    Returns:
        The result of the run, with ``comparison``, ``inference``, ``examples`` and ``report`` if requested.
    """
    trainer = Trainer.from_config(config, resume)
    result = trainer.fit(resume)
    if not is_main_process():
        return Outcome(None)
    path, payload = result.folder.path, result.to_json()
    if trainer.job.advice is not None:
        payload["advice"] = dict(trainer.job.advice)
    table = _result_table(result, trainer.job.objective.task, len(trainer.job.data.classes))
    dashboard = command("dashboard", path)
    return Outcome(payload, [table, *trainer.text, f"run: {path}   dashboard: {dashboard}"])


def predict(
    images: Sequence[str],
    model: str | None,
    network: str | None,
    weights: str | None,
    topk: int,
    device: str,
    *,
    threshold: float | None = None,
    tta: int | None = None,
    as_csv: bool = False,
    timeout: float = TIMEOUT,
) -> Outcome:
    """Predict with an exported model (``model``) or an unmodified pretrained network (``network``).

    Files that cannot be read are listed at the end and set the exit code to 1.
    """
    if topk < 1:
        raise ConfigError(f"--topk is {topk}; expected 1 or more")
    if not timeout > 0:
        raise ConfigError(f"--timeout is {timeout:g}; expected more than 0 seconds")
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise ConfigError(f"--device is {device}; expected auto, cpu, gpu or gpu:k")
    images, model = _split_arguments(images, model, network)
    paths = expand_images(images)
    predictor: Predictor | NetworkPredictor
    if network is not None:
        predictor = NetworkPredictor(network, weights or True, device=device)
    else:
        folder = run_folder(model or "")
        inside = RunFolder(folder).inference
        predictor = Predictor(inside if inside.is_dir() else folder, device=device)
    options: dict[str, Any] = {"topk": topk, "threshold": threshold, "tta": tta, "timeout": timeout}
    predictions = predictor.predict(paths, **options, on_bad_image="keep")
    errors = [prediction.error for prediction in predictions if prediction.error]
    for message in errors:
        console.print(f"error: {message}", style="red", markup=False)
    text: list[Any] = [predictions_csv(predictions).rstrip()] if as_csv else []
    if not as_csv and len(errors) < len(predictions):
        text = [predictions_table(predictions)]
    return Outcome([prediction.to_dict() for prediction in predictions], text, exit_code=1 if errors else 0)


def _split_arguments(images: Sequence[str], model: str | None, network: str | None) -> tuple[Sequence[str], str | None]:
    """Return the images and the folder of the model, which is the first argument unless an option names it.

    Raises:
        ConfigError: No model or network, or no image was given.
    """
    if model is not None or network is not None:
        return images, model
    first = run_folder(images[0])
    if not any((first / name).is_file() for name in ("config.yaml", MANIFEST_NAME)):
        raise ConfigError(
            f"no model was given, and {images[0]} is neither a run nor an exported model",
            hint=f"give a run first: {command('predict', 'RUN', 'IMAGE')}; or --model FOLDER, or --network NAME",
        )
    if len(images) == 1:
        raise ConfigError(f"no image was given, only {first}", hint=f"try: {command('predict', first, 'IMAGE')}")
    return images[1:], str(first)


def _result_table(result: RunResult, task: Task, classes: int) -> Table:
    shown = task.shown(classes)
    table = new_table(
        f"{result.folder.path}: {result.parameters['trainable']:,} of {result.parameters['total']:,} weights trained, "
        f"{result.seconds:.1f} s",
        "epoch",
        *(metric.title for metric in shown),
    )
    rows = [("best", result.best), ("last", result.last)]
    for name, metrics in [*rows, *([("best on test", result.test)] if result.test else [])]:
        label = f"{name} ({metrics['epoch']})" if "epoch" in metrics else name
        numbers = [f"{metrics[metric.name]:.4f}" for metric in shown]
        table.add_row(label, *numbers)
    if result.certainty is not None:
        table.caption, table.caption_justify = f"best: {result.certainty['words']}", "left"
    return table
