"""What the tools do, callable from Python: each function works, and returns what there is to say.

The scripts in ``tools/`` parse arguments and call one of these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from toolkit.advise import settle_preset
from toolkit.bakeoff import Comparison, compare_presets, comparison_table
from toolkit.bakeoff.statistics import differences
from toolkit.cli import Outcome
from toolkit.config import Config
from toolkit.console import info, new_table
from toolkit.data.views import MOST_VIEWS
from toolkit.deploy import (
    NetworkPredictor,
    Predictor,
    expand_images,
    export_job,
    predictions_csv,
    predictions_table,
    show_examples,
)
from toolkit.engine import (
    Job,
    RunFolder,
    RunResult,
    Trainer,
    build_job,
    evaluate_job,
    predict_outputs,
)
from toolkit.engine.inputs import evaluation_batches
from toolkit.engine.precision import check_device
from toolkit.engine.signals import resumable
from toolkit.errors import ConfigError, TrainingError
from toolkit.runtime import cpu_settings, is_main_process, select_device, world_size
from toolkit.task import Task

__all__ = ["evaluate", "export", "predict", "train"]


def train(config: Config, resume: Path | str | None = None) -> Outcome:
    """Train; then compare presets, export, show examples and write the report where the config says so.

    Args:
        config: The job.
        resume: Folder of an interrupted run to go on with; ``auto`` for the newest of this config, if any.

    Returns:
        The run's result; with ``comparison``, ``inference``, ``examples`` and ``report`` where asked for.
    """
    device = select_device(config.train.device)
    info(f"device {device}; {cpu_settings()}")
    check_device(config.train, world_size())
    config, advice = settle_preset(config, resume)
    trainer = Trainer(replace(build_job(config), advice=advice))
    result = trainer.fit(resume=resume)
    if not is_main_process():
        return Outcome(None)
    with resumable(result.folder):
        return _after_training(config, trainer, result)


def _after_training(config: Config, trainer: Trainer, result: RunResult) -> Outcome:
    """Compare, export, show examples and write the report where the config says so."""
    text: list[Any] = [_result_table(result, trainer.job.objective.task)]
    payload = result.to_json()
    if trainer.job.advice is not None:
        payload["advice"] = dict(trainer.job.advice)
    rows: list[Comparison] = []
    part, images = trainer.job.data.evaluation
    if config.transfer.compare:
        rows = compare_presets(config, result)
        payload["comparison"] = [row.to_json() for row in rows]
        payload["differences"] = [difference.to_json() for difference in differences(rows, len(images))]
        text += [comparison_table(rows), *_lead(rows, part, len(images))]
    if config.export.enabled:
        folder = export_job(trainer.job, result.folder.inference)
        payload["inference"] = str(folder)
        text.append(_exported(folder))
        if config.export.examples:
            examples, table = show_examples(Predictor(folder), images, config.export.examples)
            payload["examples"] = examples
            text.append(table)
    if config.export.report:
        report = _report(trainer.job, result, rows)
        payload["report"] = str(report)
        text.append(f"report: {report}")
    text.append(f"run: {result.folder.path}   dashboard: python tools/dashboard.py {result.folder.path}")
    return Outcome(payload, text)


def evaluate(config: Config, config_path: Path, tta: int | None = None) -> Outcome:
    """Evaluate the best epoch of a run on its test (or validation) images.

    Args:
        config: The run's.
        config_path: Where it stands.
        tta: Views of each image that are averaged; by default ``train.tta``.
    """
    views = config.train.tta if tta is None else tta
    if not 1 <= views <= MOST_VIEWS:
        raise ConfigError(f"--tta is {views}; expected 1 to {MOST_VIEWS} views of an image")
    folder = find_run(config, config_path)
    job = build_job(config, weights=folder.best)
    metrics = evaluate_job(job, views)
    seen = f", mean of {views} views" if views > 1 else ""
    table = new_table(f"{folder.path}: {metrics['split']}, {metrics['images']} images{seen}", "metric", "value")
    for metric in job.objective.task.metrics:
        table.add_row(metric.title, f"{metrics[metric.name]:.4f}")
    return Outcome({"run_dir": str(folder.path), **metrics}, [table])


def export(config: Config, config_path: Path, output: Path | None = None) -> Outcome:
    """Export the best epoch of a run, and check the exported model against the network."""
    folder = find_run(config, config_path)
    exported = export_job(build_job(config, weights=folder.best), output or folder.inference)
    return Outcome({"run_dir": str(folder.path), "inference": str(exported)}, [_exported(exported)])


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
) -> Outcome:
    """Predict with an exported model (``model``), or recognise with a pretrained network as it is (``network``)."""
    if topk < 1:
        raise ConfigError(f"--topk is {topk}; expected 1 or more")
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise ConfigError(f"--device is {device}; expected auto, cpu, gpu or gpu:k")
    paths = expand_images(images)
    predictor: Predictor | NetworkPredictor
    if network is not None:
        predictor = NetworkPredictor(network, weights or True, device=device)
    else:
        folder = Path(model or "")
        inside = RunFolder(folder).inference
        predictor = Predictor(inside if inside.is_dir() else folder, device=device)
    predictions = predictor.predict(paths, topk=topk, threshold=threshold, tta=tta)
    text = predictions_csv(predictions).rstrip() if as_csv else predictions_table(predictions)
    return Outcome([prediction.to_dict() for prediction in predictions], [text])


def find_run(config: Config, config_path: Path) -> RunFolder:
    """The run that a config belongs to: the one whose folder it stands in, or else ``output_dir/name``.

    Raises:
        TrainingError: There is no run, or it has no whole epoch yet.
    """
    folder = RunFolder(config_path.parent)
    if not folder.record.is_file():
        folder = RunFolder(config.output_dir.expanduser() / config.name)
    if folder.best.is_file():
        return folder
    begun = folder.last.is_file()
    raise TrainingError(
        f"no trained run for {config_path}: {folder.path} has no checkpoints/best.pdparams",
        hint=f"go on with: {folder.resume_command}"
        if begun
        else f"train first: python tools/train.py -c {config_path}",
    )


def _report(job: Job, result: RunResult, rows: list[Comparison]) -> Path:
    """The run's page, on the best epoch's predictions for the evaluation images."""
    from toolkit.explain import write_report  # matplotlib takes time to import

    images, outputs = job.data.evaluation[1], result.test_outputs
    if outputs is None:
        with evaluation_batches(job, images) as batches:
            outputs, _ = predict_outputs(job.network, batches, job.config.train)
    return write_report(job, result.folder, outputs, images.labels, rows)


def _lead(rows: list[Comparison], part: str, images: int) -> list[str]:
    """Which preset is best, and by how much."""
    from toolkit.explain import lead_statements  # matplotlib takes time to import

    return lead_statements(rows, part, images)


def _exported(folder: Path) -> str:
    return f"exported to {folder}; try: python tools/predict.py --model {folder} IMAGE"


def _result_table(result: RunResult, task: Task) -> Table:
    table = new_table(
        f"{result.folder.path}: {result.parameters['trainable']:,} of {result.parameters['total']:,} weights trained, "
        f"{result.seconds:.1f} s",
        "epoch",
        *(metric.title for metric in task.metrics),
    )
    rows = [("best", result.best), ("last", result.last)]
    for name, metrics in [*rows, *([("best on test", result.test)] if result.test else [])]:
        label = f"{name} ({metrics['epoch']})" if "epoch" in metrics else name
        numbers = [f"{metrics[metric.name]:.4f}" for metric in task.metrics]
        table.add_row(label, *numbers)
    return table
