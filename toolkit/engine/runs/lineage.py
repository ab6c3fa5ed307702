"""The origin of a run's starting weights: the chain of runs that led to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.config import plan_of
from toolkit.engine.runs.folder import RunFolder


def ancestry_of(weights: bool | str | Path) -> tuple[dict[str, Any], ...]:
    """The runs that led to a weights file, oldest first, ending with the file's own run.

    Args:
        weights: As ``pretrained`` of ``create_network``.

    Returns:
        For each run ``name, run_dir, network, preset, weights`` (starting weights: ``paddle``, ``random``, a file or
        a URL), ``data`` (``task``, ``classes`` and number of ``images``) and ``result`` (metrics of its best epoch).
        Empty for weights that are not the checkpoint of a run.
    """
    if isinstance(weights, bool):
        return ()
    folder = RunFolder(Path(weights).expanduser().absolute().parent.parent)
    if Path(weights).name not in (folder.best.name, folder.last.name) or not folder.record.is_file():
        return ()
    record = folder.read_record()
    return (*record.get("ancestry", ()), _entry(folder, record))


def _entry(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    data, network, plan = record.get("data", {}), record.get("network", {}), record.get("plan", {})
    images = sum(data.get("sizes", {}).values())
    return {
        "name": record.get("name", folder.path.name),
        "run_dir": str(folder.path),
        "network": network.get("name"),
        "preset": plan_of(plan.get("preset"), plan.get("variant")),  # earlier runs have variants
        "weights": network.get("weights"),
        "data": {"task": data.get("task", "classification"), "classes": data.get("classes", []), "images": images},
        "result": (record.get("result") or {}).get("best"),
    }
