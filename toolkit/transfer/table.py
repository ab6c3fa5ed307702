"""The resolved plan as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from toolkit.console import new_table
from toolkit.stage import StageInfo
from toolkit.transfer.plan import Plan

__all__ = ["plan_table"]


def plan_table(plan: Plan, stages: Sequence[StageInfo], head_parameters: int) -> Table:
    """Stage, output shape, parameters, frozen or not, and learning rate, a line a stage.

    Args:
        plan: The plan.
        stages: The stages it was resolved for; those above the cut may be there or not.
        head_parameters: Number of weights of the head.

    Returns:
        A rich table; the plan's notes are its caption.
    """
    rates = ["learning rate"] if len(plan.phases) == 1 else [escape(f"lr: {phase.name}") for phase in plan.phases]
    title = f"plan: {plan.title}{f', cut to {plan.cut} stages' if plan.cut else ''}"
    numeric = ("output", "parameters", *rates)
    table = new_table(title, "stage", "output", "parameters", "frozen", *rates, numeric=numeric)
    kept = stages[: len(plan.phases[0].multipliers)]
    for index, stage in enumerate(kept):
        table.add_row(
            stage.name,
            "x".join(str(side) for side in stage.shape),
            f"{stage.parameters:,}",
            _frozen_in(plan, index),
            *(f"{phase.lr * phase.multipliers[index]:.3g}" if index >= phase.frozen else "-" for phase in plan.phases),
            style="dim" if index < plan.frozen else None,
        )
    solved = ("solved" if phase.solver == "exact" else f"{phase.lr:.3g}" for phase in plan.phases)
    table.add_row("head", "", f"{head_parameters:,}", "no", *solved)
    frozen = sum(stage.parameters for stage in kept[: plan.frozen])
    total = sum(stage.parameters for stage in kept) + head_parameters
    table.add_section()
    epochs = (f"{phase.epochs} epoch{'s' if phase.epochs > 1 else ''}" for phase in plan.phases)
    table.add_row("total", "", f"{total:,}", f"{frozen:,}", *epochs, style="bold")
    if plan.notes:
        table.caption = "\n".join(plan.notes)
        table.caption_justify = "left"
    return table


def _frozen_in(plan: Plan, index: int) -> str:
    """``yes``, ``no``, or the phases in which a stage is frozen."""
    phases = [phase.name for phase in plan.phases if index < phase.frozen]
    if len(phases) == len(plan.phases):
        return "yes"
    return escape("in " + ", ".join(phases)) if phases else "no"
