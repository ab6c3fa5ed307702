"""The commands ``train`` and ``predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from toolkit.commands.app import Outcome
from toolkit.commands.arguments import run_folder
from toolkit.commands.checks import split_images
from toolkit.config import Config
from toolkit.core.console import command, console, new_table
from toolkit.core.runtime import is_main_process
from toolkit.data.pool import TIMEOUT
from toolkit.deploy import (
    NetworkPredictor,
    Predictor,
    expand_images,
    predictions_csv,
    predictions_table,
)
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
    text = [table, *trainer.text]
    if result.inference is None:
        text.append(f"export it: {command('export', path)}")
    elif not trainer.text:  # an earlier process exported it
        text.append(f"try: {command('predict', path, 'IMAGE')}")
    shown = f"   dashboard: {command('dashboard', path)}" if result.folder.visualdl.is_dir() else ""
    return Outcome(payload, [*text, f"run: {path}{shown}"])


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
    images, model = split_images(images, model, network)
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
        text = [predictions_table(predictions), *_after_prediction(model, network)]
    return Outcome([prediction.to_dict() for prediction in predictions], text, exit_code=1 if errors else 0)


def _after_prediction(model: str | None, network: str | None) -> list[str]:
    if network is not None:
        return [f"to teach it your own classes: {command('train', 'FOLDER', f'model.name={network}')}"]
    folder = run_folder(model or "")
    run = folder if (folder / "config.yaml").is_file() else folder.parent
    known = (run / "config.yaml").is_file()
    return [f"on labelled images: {command('eval', run, '--data', 'FOLDER')}"] if known else []


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
