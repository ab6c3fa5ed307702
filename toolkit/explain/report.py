"""``report.html``: the report of a run, in one self-contained file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolkit.bakeoff import Comparison
from toolkit.core.console import command
from toolkit.engine import Job, RunFolder
from toolkit.engine.shift import Shift
from toolkit.explain.classification import classification_facts
from toolkit.explain.comparison_words import lead_statements
from toolkit.explain.figures import learning_curve
from toolkit.explain.lineage import chain, lineage, origin_words
from toolkit.explain.multilabel import multilabel_facts
from toolkit.explain.regression import regression_facts
from toolkit.explain.shift import shift_facts
from toolkit.explain.tables import MANY, comparison_rows, parts_of_time, plan_rows
from toolkit.pages import new_environment, write_page
from toolkit.pages.words import metric_words
from toolkit.tasks import Task, TaskName
from toolkit.transfer import get_preset

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_RGB = 3
_Facts: TypeAlias = "Callable[[Job, NDArray[np.floating], NDArray[Any]], dict[str, Any]]"
_RESULTS: Mapping[TaskName, _Facts] = MappingProxyType(
    {"classification": classification_facts, "multilabel": multilabel_facts, "regression": regression_facts}
)
"""Collects the facts about the result by task; the template is ``templates/<task>.html``."""


def write_report(
    job: Job,
    folder: RunFolder,
    outputs: NDArray[np.floating],
    labels: NDArray[Any],
    comparison: Sequence[Comparison] | None = None,
    result: Mapping[str, Any] | None = None,
    shift: Shift | None = None,
) -> Path:
    """Write ``report.html`` to a run's folder.

    The page embeds its images and styles, has no scripts, and is readable on paper and on a phone.

    Args:
        job: The run's job.
        folder: The run's folder, with ``run.json`` and ``metrics.jsonl``.
        outputs: Outputs of the network at the best epoch for ``job.data.evaluation``, in order, ``[N, C]``, N >= 1:
            scores before softmax or sigmoid, or values in the targets' units.
        labels: Their labels: class numbers ``[N]``, or 0/1 or values ``[N, C]``.
        comparison: Results of this and other presets, if they were compared.
        result: The run's result; by default from its record, which an interrupted run lacks.
        shift: The best epoch on corrupted evaluation images, if it was measured.

    Returns:
        The path of the report.

    Raises:
        ToolkitError: The folder cannot be written.
        ValueError: The outputs do not belong to the evaluation images.
    """
    split, images = job.data.evaluation
    task, classes = job.objective.task, job.data.classes
    if outputs.shape != (len(images), len(classes)) or not np.array_equal(labels, images.labels):
        raise ValueError(f"outputs {outputs.shape} do not belong to {len(images)} images, {len(classes)} each")
    record = folder.read_record()
    facts = {
        **_run_facts(job, folder, record, record.get("result", {}) if result is None else result),
        **_RESULTS[task.name](job, outputs, labels),
        "part": _SPLITS[split],
        "images": len(images),
        "metrics": job.objective.metrics(outputs, labels),
        "metric": task.main,
        "told": {metric.name for metric in task.shown(len(classes))},
        "classes": classes,
        "comparison": comparison_rows(comparison) if comparison else None,
        "shift": shift_facts(shift) if shift else None,
        "lead": lead_statements(comparison, split, len(images)) if comparison else [],
    }
    page = new_environment("toolkit.explain").get_template(f"{task.name}.html").render(facts)
    return write_page(folder.path / "report.html", page)


def _run_facts(job: Job, folder: RunFolder, record: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the facts about the run."""
    best = result.get("best", {}).get("epoch")
    lines = folder.read_metrics()
    main = job.objective.task.main
    return {
        "name": job.config.name,
        "finished": record.get("finished"),
        "seconds": parts_of_time(result["seconds"]) if "seconds" in result else "not known",
        "planned": job.plan.epochs,
        "best_epoch": best,
        "certainty": (result.get("certainty") or {}).get("words"),
        "epochs": len(lines),
        "made": _how(job, record, result.get("parameters", {})),
        "chain": chain(record),
        "ancestors": lineage(record),
        "advice": record.get("advice"),
        "plan": plan_rows(job),
        "phases": job.plan.phases,
        "notes": job.plan.notes,
        "curves": [
            learning_curve(lines, key, title, best) for key, title in (("loss", "loss"), (main.name, main.title))
        ]
        if lines
        else [],
        "phase_spans": _phase_spans(lines),
        "smoothing": job.config.train.label_smoothing,
        "augment": job.plan.augment,
        "proof": record.get("frozen_check", []),
        "parts": _SPLITS,
        "environment": _environment_rows(job, record),
        "command": command("train", "-c", folder.config),
        "many": len(job.data.classes) > MANY,
        "shown": MANY,
    }


def _how(job: Job, record: dict[str, Any], parameters: Mapping[str, int]) -> list[tuple[str, str]]:
    config, preset = job.config, get_preset(job.plan.preset)
    train, head = config.train, config.model.head
    origin = origin_words(record.get("network", {}).get("weights", job.weights))
    words = [f"{config.data.batch_size} images per step", f"{job.plan.optimizer}, {train.schedule} schedule"]
    words += [f"weight decay {train.weight_decay:g}"] if train.weight_decay else []
    words += [f"label smoothing {train.label_smoothing:g}"] if train.label_smoothing else []
    rows = [
        ("network", ", ".join((config.model.name, *_input_words(job), f"{head.type} head"))),
        ("starting weights", origin),
        ("preset", f"{job.plan.preset}: {preset.description} ({preset.source})"),
        ("augmentation", job.plan.augment),
        ("training", f"{job.plan.epochs} epochs planned, {', '.join(words)}"),
    ]
    rows += _solved(record.get("solver"), job.objective.task)
    rows += [("changed by hand", line) for line in record.get("by_hand", ())]
    if parameters:
        rows.append(("weights trained", f"{parameters['trainable']:,} of {parameters['total']:,}"))
    return rows


def _solved(solver: Mapping[str, Any] | None, task: Task) -> list[tuple[str, str]]:
    """Describe how the head was solved, and the results of nearest neighbours, from ``run.json``."""
    if solver is None:
        return []
    by = "by cross-validation" if solver.get("chosen_by") == "cross-validation" else "on validation images"
    chosen = f"regularisation {solver['regularisation']:g}, the best of {len(solver['trials'])} {by}"
    rows = [("exact solver", f"{chosen}, in {parts_of_time(solver['seconds'])}")]
    name = task.main.name
    near = [f"{metric_words(name, trial['val'][name])} with {trial['k']}" for trial in solver.get("neighbours", ())]
    if near:
        words = f"for comparison, {task.main.title} on validation images: {', '.join(near)}"
        rows.append(("nearest neighbours", words))
    return rows


def _input_words(job: Job) -> list[str]:
    """Describe the input size, and unusual channels or pooling."""
    size, channels, pooling = job.preprocessing.image_size, job.preprocessing.channels, job.config.model.pooling
    words = [f"{size} × {size} pixels"]
    words += [f"{channels} channel{'s' if channels > 1 else ''}"] if channels != _RGB else []
    return words + ([f"{pooling} pooling"] if pooling != "avg" else [])


def _environment_rows(job: Job, record: dict[str, Any]) -> list[tuple[str, str]]:
    versions = record.get("versions", {})
    cpu = versions.get("cpu", {})
    names = (("paddle", "Paddle"), ("python", "Python"), ("numpy", "NumPy"), ("opencv", "OpenCV"))
    revision = record.get("git_revision")
    rows = [
        ("toolkit", f"{versions.get('toolkit', '?')}{f' (git {revision})' if revision else ''}"),
        ("libraries", ", ".join(f"{title} {versions[key]}" for key, title in names if key in versions)),
        ("device", job.device),
        ("processor", f"{versions.get('processor', '?')}, {versions.get('cores', '?')} cores"),
        ("threads", f"OMP_NUM_THREADS={cpu.get('threads', '?')}"),
        ("system", versions.get("system", "?")),
        ("seed", f"{job.config.seed} (data split: {job.config.data.split_seed})"),
        ("data", record.get("data", {}).get("fingerprint") or job.data.fingerprint()),
    ]
    times = [("started", record.get("started")), ("finished", record.get("finished"))]
    return rows + [(name, time) for name, time in times if time]


def _phase_spans(lines: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Return name, first and last epoch of each phase; a phase starts where the name changes."""
    spans: list[tuple[str, int, int]] = []
    for line in lines:
        if spans and spans[-1][0] == line["phase"]:
            spans[-1] = (spans[-1][0], spans[-1][1], line["epoch"])
        else:
            spans.append((line["phase"], line["epoch"], line["epoch"]))
    return spans
