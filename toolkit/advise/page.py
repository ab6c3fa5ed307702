"""``--html``: the advice as a self-contained page in the style of the training report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.advise.advice import Advice
from toolkit.advise.figures import depth_figure, distance_figure
from toolkit.advise.tables import CELLS, IDEAS
from toolkit.advise.thresholds import load_thresholds
from toolkit.advise.words import (
    MISSING,
    detail_words,
    idea_of,
    large_words,
    no_plan_words,
    number,
    pays_words,
    says,
    tuning_words,
    unlike_the_matrix,
)
from toolkit.core.files import clear_os_errors
from toolkit.pages import new_environment
from toolkit.pages import write_page as save_page
from toolkit.tasks import TASKS
from toolkit.transfer import get_preset


def write_page(advice: Advice, path: Path) -> Path:
    """Write the page.

    Args:
        advice: The advice.
        path: Path of the page; its folder is created.

    Returns:
        The path.

    Raises:
        ToolkitError: The page cannot be written.
    """
    environment = new_environment("toolkit.advise")
    environment.filters.update(brief=number, says=says, detail=detail_words, grouped=lambda value: f"{value:,.0f}")
    page = environment.get_template("advice.html").render(_facts(advice))
    with clear_os_errors(str(path), place="--html"):
        path.parent.mkdir(parents=True, exist_ok=True)
    return save_page(path, page)


def _facts(advice: Advice) -> dict[str, Any]:
    measured, position, plan = advice.measured, advice.position, advice.plan
    task, thresholds = TASKS[measured.task], load_thresholds()
    metric = task.main
    return {
        "name": advice.name,
        "advice": advice,
        "position": position,
        "plan": plan,
        "size": measured.size,
        "outputs": task.plural,
        "measured": measured,
        "rows": [
            (name, share, cells)
            for (name, cells), share in zip(CELLS, (1 - position.large, position.large), strict=True)
        ],
        "ideas": IDEAS,
        "evidence": advice.evidence,
        "missing": [(MISSING.get(name, name), why) for name, why in measured.missing.items()],
        "depth": depth_figure(measured.depth, metric.title) if measured.depth else None,
        "distance": distance_figure(measured.batchnorm, thresholds.evidence["batchnorm"])
        if measured.batchnorm
        else None,
        "metric": metric,
        "large": large_words(thresholds.size),
        "pays": pays_words(measured.size, thresholds.moving),
        "unlike": unlike_the_matrix(position, advice.choices[0].preset),
        "recommended": _recommended(advice),
        "choices": [
            (choice, idea_of(choice.preset), get_preset(choice.preset).source, advice.trained.get(choice.preset))
            for choice in advice.choices
        ],
        "stages": [stage.name for stage in measured.stages],
    }


def _recommended(advice: Advice) -> list[tuple[str, str]]:
    plan = advice.plan
    if plan is None:
        return [("preset", no_plan_words(advice.choices))]
    rows = [
        ("preset", f"{plan.preset}: {idea_of(advice.choices[0].preset)}"),
        ("cut", f"after {advice.cut}" if advice.cut else "none: all stages are kept"),
        ("learning rates", tuning_words(advice)),
        ("epochs", str(plan.epochs)),
        ("augmentation", plan.augment),
    ]
    if plan.preset in advice.trained:
        rows.append(("weights trained", f"{advice.trained[plan.preset]:,}"))
    return [*rows, ("runner-up", advice.choices[1].preset)]
