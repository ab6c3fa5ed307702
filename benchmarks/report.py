"""The results as a table for people and as JSON: medians, spread, and ratios of paired runs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cases import CASES

__all__ = ["Rows", "collect", "machine", "markdown", "read_results", "write_results"]

Rows = Sequence[Mapping[str, Any]]
_FIGURES = ("wall", "cpu", "peak")


def machine() -> dict[str, Any]:
    """The machine that the numbers were measured on."""
    model, memory = platform.processor() or platform.machine(), 0.0
    if Path("/proc/cpuinfo").is_file():
        names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
        model = names[0] if names else model
        memory = next(
            (int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model,
        "cores": cores,
        "memory_gb": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()


def collect(runs: Sequence[Mapping[str, Any]], clock: str) -> dict[str, Any]:
    """The figures of one contender's runs.

    Args:
        runs: Measurements as JSON, one per round.
        clock: ``process`` or ``section``.

    Returns:
        ``runs``: wall and CPU seconds and peak MB of each round; ``accuracy`` of each, and ``images`` if known.
    """
    found: dict[str, Any] = {"wall": [], "cpu": [], "peak": [], "accuracy": []}
    for run in runs:
        result = run["result"]
        section = clock == "section" and "seconds" in result
        found["wall"].append(result["seconds"] if section else run["wall"])
        found["cpu"].append(result["cpu_seconds"] if section else run["cpu"])
        found["peak"].append(run["peak"])
        accuracy = result.get("accuracy", result.get("last", {}).get("top1"))
        found["accuracy"] += [] if accuracy is None else [accuracy]
        found["images"] = result.get("images")
    return found


def markdown(results: Mapping[str, Any]) -> str:
    """All cases as a Markdown page."""
    order = [case.name for case in CASES if case.name in results]
    parts = ["# Results", "", "Written by `make bench`; [README.md](README.md) explains how to read it.", ""]
    for name in order:
        parts += [*_case(results[name]), ""]
    return "\n".join(parts)


def _case(found: Mapping[str, Any]) -> Iterable[str]:
    rows = found["rows"]
    yield f"## {found['title']}"
    yield ""
    if found["smoke"]:
        yield "**A smoke run with tiny sizes: these numbers mean nothing.**"
        yield ""
    yield f"`{found['name']}`. Goal: {found['goal']}."
    yield ""
    yield f"Equal: {found['equal']}."
    if found["different"]:
        yield f"Not equal: {found['different']}."
    yield ""
    rate = any(row.get("images") for row in rows)
    heads = ["", "wall s", "CPU s", "peak MB", *(["images/s", "images/CPU-s"] if rate else []), "accuracy", "rounds"]
    yield from _table(heads, [_figures(row, rate) for row in rows])
    yield ""
    yield from _ratios(rows)
    yield from _circumstances(found)


def _figures(row: Mapping[str, Any], rate: bool) -> list[str]:
    if row.get("missing"):
        return [row["label"], f"missing: {row['missing']}", *[""] * (7 if rate else 5)]
    rates = [f"{row['images'] / max(median(row[key]), 1e-9):.1f}" if row["images"] else "" for key in ("wall", "cpu")]
    accuracy = _spread(row["accuracy"], "{:.3f}".format) if row["accuracy"] else ""
    figures = [_spread(row[key], _number) for key in _FIGURES]
    return [row["label"], *figures, *(rates if rate else []), accuracy, str(len(row["wall"]))]


def _ratios(rows: Rows) -> Iterable[str]:
    """What every other row takes, divided by what each subject takes."""
    measured = [row for row in rows if not row.get("missing")]
    subjects = [row for row in measured if row["subject"]]
    others = [row for row in measured if not row["subject"]]
    if not subjects or not others:
        return
    heads = ["contender", "relative to", "wall", "CPU", "peak memory"]
    yield from _table(
        heads, [[o["label"], s["label"], *(_ratio(o[k], s[k]) for k in _FIGURES)] for o in others for s in subjects]
    )
    yield ""


def _ratio(other: Sequence[float], subject: Sequence[float]) -> str:
    return _spread([theirs / max(ours, 1e-9) for theirs, ours in zip(other, subject, strict=False)], "{:.2f}".format)


def _circumstances(found: Mapping[str, Any]) -> Iterable[str]:
    facts = found["machine"]
    yield (
        f"{found['when']}, {facts['cores']} cores of {facts['cpu']}, {facts['memory_gb']} GB, "
        f"Python {facts['python']}, load before: {found['load']:.1f}."
    )
    for name, environment in found["environments"].items():
        versions = " ".join(f"{package} {version}" for package, version in environment["versions"].items())
        checks = " ".join(f"{network}: {value:.0e}" for network, value in environment["checks"].items())
        agreement = f"; logits differ from Paddle's by {checks}" if checks else ""
        options = f"; {' '.join(environment['options'])}" if environment["options"] else ""
        yield f"- {name}: {versions or environment['missing']}{agreement}{options}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(values: Sequence[float], write: Callable[[float], str]) -> str:
    """The median, with minimum and maximum if there are several values."""
    least, middle, most = (write(value) for value in (min(values), median(values), max(values)))
    return middle if least == most else f"{middle} ({least}-{most})"


def read_results(file: Path) -> dict[str, Any]:
    """Results of earlier runs, by case; empty if there is no file."""
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def write_results(file: Path, results: Mapping[str, Any]) -> None:
    """Write the page, and the same results as JSON next to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    file.write_text(markdown(results), encoding="utf-8")
