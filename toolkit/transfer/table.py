"""The resolved plan as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from toolkit.core.console import new_table
from toolkit.core.stages import StageInfo
from toolkit.transfer.plan import Plan

_MOST_NAMED = 3
"""Number of phases whose names fit as column headings; beyond it, numbers are used and the caption explains them."""


def plan_table(plan: Plan, stages: Sequence[StageInfo], head_parameters: int) -> Table:
    """Stage, output shape, parameters, frozen or not, and learning rate, one line per stage.

    Args:
        plan: The plan.
        stages: The stages the plan was resolved for; those above the cut may be included.
        head_parameters: Number of weights in the head.

    Returns:
        A rich table; its caption lists the rates of head and backbone, and the plan's notes.
    """
    many, kept = len(plan.phases) > _MOST_NAMED, stages[: len(plan.phases[0].multipliers)]
    rates = ["learning rate"] if len(plan.phases) == 1 else [escape(f"lr: {name}") for name in _short_names(plan)]
    title = f"plan: {plan.preset}{f', cut to {plan.cut} stages' if plan.cut else ''}"
    shape = [] if many else ["output"]
    table = new_table(title, "stage", *shape, "parameters", "frozen", *rates, numeric=(*shape, "parameters", *rates))
    table.columns[0].min_width = max(len(stage.name) for stage in kept)
    for index, stage in enumerate(kept):
        table.add_row(
            stage.name,
            *([] if many else ["x".join(str(side) for side in stage.shape)]),
            f"{stage.parameters:,}",
            _frozen_in(plan, index),
            *(f"{phase.lr * phase.multipliers[index]:.3g}" if index >= phase.frozen else "-" for phase in plan.phases),
            style="dim" if index < plan.frozen else None,
        )
    empty = [""] * len(shape)
    solved = ("solved" if phase.solver == "exact" else f"{phase.lr:.3g}" for phase in plan.phases)
    table.add_row("head", *empty, f"{head_parameters:,}", "no", *solved)
    frozen = sum(stage.parameters for stage in kept[: plan.frozen])
    total = sum(stage.parameters for stage in kept) + head_parameters
    table.add_section()
    epochs = (f"{phase.epochs} {'ep.' if many else 'epochs' if phase.epochs > 1 else 'epoch'}" for phase in plan.phases)
    table.add_row("total", *empty, f"{total:,}", f"{frozen:,}", *epochs, style="bold")
    table.caption = escape("\n".join([*_rates(plan, kept), *plan.notes]))
    table.caption_justify = "left"
    return table


def _rates(plan: Plan, stages: Sequence[StageInfo]) -> list[str]:
    """The optimizer, and each phase's rates from the head down to the lowest moving stage."""
    lines, names = [], [stage.name for stage in stages]
    for short, phase in zip(_short_names(plan), plan.phases, strict=True):
        moving = range(phase.frozen, len(names))
        words = "the head is solved" if phase.solver == "exact" else f"{plan.optimizer}, head {phase.lr:.3g}"
        if moving:
            top, bottom = phase.multipliers[moving[-1]], phase.multipliers[moving[0]]
            words += f", backbone {top:.3g} of it at {names[moving[-1]]}"
            if bottom != top:
                words += f" to {bottom:.3g} at {names[moving[0]]}"
            elif len(moving) > 1:
                words += f" down to {names[moving[0]]}"
        lines.append(f"{short} ({phase.name}): {words}" if short != phase.name else f"{short}: {words}")
    moved = stages[min(phase.frozen for phase in plan.phases) :]
    if plan.batch_norm == "frozen" and any(stage.batch_norm for stage in moved):
        lines.append("BatchNorm keeps its pretrained statistics")
    return lines


def _short_names(plan: Plan) -> list[str]:
    """Column headings of the phases."""
    many = len(plan.phases) > _MOST_NAMED
    return [str(number) if many else phase.name for number, phase in enumerate(plan.phases, 1)]


def _frozen_in(plan: Plan, index: int) -> str:
    """``yes``, ``no``, or the phases in which a stage is frozen."""
    frozen = [index < phase.frozen for phase in plan.phases]
    if all(frozen):
        return "yes"
    names, first = _short_names(plan), frozen.index(True) if any(frozen) else 0
    count = sum(frozen)
    if count > 2 and all(frozen[first : first + count]) and len(names) > _MOST_NAMED:
        return f"in {names[first]}-{names[first + count - 1]}"
    return (
        escape("in " + ", ".join(name for name, still in zip(names, frozen, strict=True) if still)) if count else "no"
    )
