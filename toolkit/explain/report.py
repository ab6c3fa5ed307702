"""``report.html``: what a person wants to see of a run, in one file that needs nothing else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from toolkit.engine import Comparison, Job, RunFolder, classification_metrics
from toolkit.engine.metrics import softmax
from toolkit.explain.calibration import measure_calibration
from toolkit.explain.figures import learning_curve, reliability_diagram
from toolkit.explain.statistics import (
    ClassScore,
    class_scores,
    confusions,
    most_confused,
    wilson_interval,
    worst_mistakes,
)
from toolkit.explain.tables import comparison_rows, confusion_cells, count_summary, parts_of_time, plan_rows
from toolkit.explain.thumbnails import thumbnail
from toolkit.files import clear_os_errors, write_text
from toolkit.transfer import get_preset

__all__ = ["write_report"]

_MANY = 20
"""With more classes than these, tables begin with the worst ones and the confusion matrix becomes a list."""
_MISTAKES = 12
_PARTS = {"train": "training", "val": "validation", "test": "test"}


def write_report(
    job: Job,
    folder: RunFolder,
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    comparison: Sequence[Comparison] | None = None,
) -> Path:
    """Write ``report.html`` into a finished run's folder.

    The page holds its pictures and styles itself, has no scripts, and is read on paper and on a phone as well.

    Args:
        job: The run's job.
        folder: Its folder, with ``run.json`` and ``metrics.jsonl``.
        logits: Scores of the best epoch for ``job.data.evaluation``, in its order, ``[N, C]``, N >= 1.
        labels: Class numbers ``[N]``.
        comparison: Other presets beside this one, where they were trained.

    Returns:
        The path of the report.

    Raises:
        ToolkitError: The folder cannot be written.
        ValueError: The logits are not those of the evaluation images.
    """
    _, images = job.data.evaluation
    if logits.shape != (len(images), len(job.data.classes)) or not np.array_equal(labels, images.labels):
        raise ValueError(
            f"logits {logits.shape} do not belong to {len(images)} images of {len(job.data.classes)} classes"
        )
    record = folder.read_record()
    facts = {
        **_run_facts(job, folder, record),
        **_result_facts(job, logits, labels),
        "comparison": comparison_rows(comparison) if comparison else None,
    }
    page = _environment().get_template("report.html").render(facts)
    path = folder.path / "report.html"
    with clear_os_errors(str(path)):
        write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))  # file names may be no UTF-8
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("toolkit.explain"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        fixed=lambda value: "–" if value is None else f"{value:.3f}",
        grouped=lambda number: f"{number:,}",
        short=lambda value: "–" if value is None else f"{value:.3g}",
    )
    return environment


def _percent(share: float) -> str:
    """A share in percent; what is not quite all is not called ``100.0 %``."""
    words = f"{100 * share:.1f}"
    return f"{'over 99.9' if share < 1 and words == '100.0' else words}\u00a0%"


def _run_facts(job: Job, folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    """What was done."""
    result = record.get("result", {})
    best = result.get("best", {}).get("epoch")
    lines = _read_lines(folder.metrics)
    counts = job.data.counts()
    return {
        "name": job.config.name,
        "finished": record.get("finished"),
        "seconds": parts_of_time(result.get("seconds", 0.0)),
        "best_epoch": best,
        "epochs": len(lines),
        "made": _how(job, record, result.get("parameters", {})),
        "plan": plan_rows(job),
        "phases": job.plan.phases,
        "notes": job.plan.notes,
        "curves": [learning_curve(lines, key, title, best) for key, title in (("loss", "loss"), ("top1", "top-1"))]
        if lines
        else [],
        "phase_spans": _phase_spans(lines),
        "smoothing": job.config.train.label_smoothing,
        "augment": job.plan.augment,
        "proof": record.get("frozen_proof", []),
        "counts": counts,
        "count_summary": count_summary(counts),
        "parts": _PARTS,
        "environment": _environment_rows(job, record),
        "command": f"python tools/train.py -c {shlex.quote(str(folder.config))}",
        "many": len(job.data.classes) > _MANY,
    }


def _result_facts(job: Job, logits: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, Any]:
    """How good it is."""
    part, classes = job.data.evaluation[0], job.data.classes
    probabilities = softmax(logits.astype(np.float64))
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == labels
    matrix = confusions(labels, predicted, len(classes))
    calibration = measure_calibration(confidence, right)
    scores = class_scores(labels, predicted, classes)
    many = len(classes) > _MANY
    return {
        "part": _PARTS[part],
        "images": len(labels),
        "hits": int(right.sum()),
        "interval": wilson_interval(int(right.sum()), len(labels)),
        "metrics": classification_metrics(logits, labels),
        "most_frequent": float(matrix.sum(axis=1).max() / len(labels)),
        "classes": classes,
        "matrix": None if many else confusion_cells(matrix),
        "pairs": [
            {"true": classes[true], "said": classes[said], "count": count, "share": count / matrix[true].sum()}
            for true, said, count in most_confused(matrix, _MANY)
        ],
        "scores": sorted(scores, key=_worst_first) if many else scores,
        "mistakes": _mistakes(job, predicted, confidence, worst_mistakes(confidence, right, _MISTAKES)),
        "calibration": calibration,
        "reliability": reliability_diagram(calibration),
        "shown": _MANY,
    }


def _worst_first(score: ClassScore) -> tuple[bool, float, int]:
    return score.support == 0, 2.0 if score.f1 is None else score.f1, -score.support


def _mistakes(
    job: Job, predicted: NDArray[np.integer], confidence: NDArray[np.floating], rows: list[int]
) -> list[dict[str, Any]]:
    _, images = job.data.evaluation
    classes = job.data.classes
    return [
        {
            "picture": thumbnail(images, row),
            "path": images.path(row),
            "name": Path(images.path(row)).name,
            "truth": classes[images.labels[row]],
            "said": classes[predicted[row]],
            "confidence": float(confidence[row]),
        }
        for row in rows
    ]


def _how(job: Job, record: dict[str, Any], parameters: dict[str, int]) -> list[tuple[str, str]]:
    config, preset, size = job.config, get_preset(job.plan.preset, job.plan.variant), job.preprocessing.image_size
    train, head = config.train, config.model.head
    weights = record.get("network", {}).get("weights", job.weights)
    origin = {"paddle": "ImageNet, from Paddle's model zoo", "random": "random"}.get(weights, weights)
    words = [f"{config.data.batch_size} images a step", f"{job.plan.optimizer}, {train.schedule} schedule"]
    words += [f"weight decay {train.weight_decay:g}"] if train.weight_decay else []
    words += [f"label smoothing {train.label_smoothing:g}"] if train.label_smoothing else []
    rows = [
        ("network", f"{config.model.name}, {size} × {size} pixels, {head.type} head"),
        ("starting weights", origin),
        ("preset", f"{job.plan.title}: {preset.description} ({preset.source})"),
        ("augmentation", job.plan.augment),
        ("training", f"{job.plan.epochs} epochs planned, {', '.join(words)}"),
    ]
    if parameters:
        rows.append(("weights trained", f"{parameters['trainable']:,} of {parameters['total']:,}"))
    return rows


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


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _phase_spans(lines: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Name, first and last epoch of each phase; a phase begins where the name changes."""
    spans: list[tuple[str, int, int]] = []
    for line in lines:
        if spans and spans[-1][0] == line["phase"]:
            spans[-1] = (spans[-1][0], spans[-1][1], line["epoch"])
        else:
            spans.append((line["phase"], line["epoch"], line["epoch"]))
    return spans
