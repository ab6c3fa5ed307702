"""Advice in a terminal: the matrix, the evidence and the recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from toolkit.advise.evidence import Evidence
from toolkit.advise.thresholds import load_thresholds
from toolkit.advise.words import (
    MISSING,
    detail_words,
    large_words,
    no_plan_words,
    number,
    pays_words,
    says,
    tuning_words,
    unlike_the_matrix,
)
from toolkit.core.console import new_table
from toolkit.tasks import TASKS

if TYPE_CHECKING:
    from toolkit.advise.advice import Advice


CELLS = (
    ("small", ("small_similar", "small_different")),
    ("large", ("large_similar", "large_different")),
)
IDEAS = {
    "small_similar": "linear_probe: freeze all,\ntrain a head on the features",
    "small_different": "most_stages or shallow_probe:\nmost stages, or shallow features",
    "large_similar": "last_stages: freeze most,\nfine-tune the last stages",
    "large_different": "all_stages_bold: fine-tune\neverything from the weights",
}


def advice_text(advice: Advice) -> list[RenderableType]:
    """Return everything from the matrix to the notes."""
    text: list[RenderableType] = [matrix_table(advice), evidence_table(advice), recommendation_table(advice)]
    text += advice.why
    text += [f"note: {note}" for note in advice.notes]
    return text


def matrix_table(advice: Advice) -> Table:
    """Tabulate small or large by similar or different, and mark the data's cell."""
    position = advice.position
    title = f"{escape(advice.name)}: {position.size} and {position.similarity} ({position.confidence:.0%} sure of both)"
    table = new_table(title, "", "similar to ImageNet", "different from ImageNet")
    table.show_lines = True
    for size, cells in CELLS:
        words = []
        for cell in cells:
            here = cell == position.cell
            mark = f"[bold reverse] YOUR DATA [/] {number(position.confidence)}\n" if here else ""
            words.append(f"{mark}{'[bold]' if here else ''}{IDEAS[cell]}{'[/]' if here else ''}")
        sure = position.large if size == "large" else 1 - position.large
        table.add_row(f"{size}\n{sure:.0%}", *words)
    table.columns[1].header = f"similar to ImageNet {position.similar:.0%}"
    table.columns[2].header = f"different from ImageNet {1 - position.similar:.0%}"
    caption = [large_words(load_thresholds().size)]
    if unlike_the_matrix(position, advice.choices[0].preset):
        caption.append(f"the cells show the matrix's presets; the advice here is {advice.choices[0].preset}")
    table.caption = "\n".join(caption)
    table.caption_justify = "left"
    return table


def evidence_table(advice: Advice) -> Table:
    """Tabulate the measurements and what they indicate."""
    size = advice.measured.size
    table = new_table(
        f"evidence, on {advice.measured.sample} images", "", "value", "similar", "different", "says", "source",
        numeric=("value",),
    )  # fmt: skip
    table.add_row("training images", f"{size.images:,}", "", "", advice.position.size, "")
    if size.classes and not TASKS[advice.measured.task].predicts_numbers:
        words = f"least {size.least:,}, median {size.median:,.0f}, most {size.most:,} (1 to {size.imbalance:.1f})"
        table.add_row(f"images of each class ({size.classes:,} in all)", words, "", "", "", "")
    for piece in advice.evidence:
        table.add_row(piece.title, number(piece.value), *map(_span, piece.reference), _says(piece), piece.source)
    for name, why in advice.measured.missing.items():
        table.add_row(MISSING.get(name, name), "–", "", "", f"not measured: {escape(why)}", "", style="dim")
    made_of = [f"{piece.title.partition(',')[0]}: {detail_words(piece)}" for piece in advice.evidence if piece.detail]
    limits = "similar, different: smallest and largest value in the calibration's data sets"
    table.caption = "\n".join([limits, *made_of])
    table.caption_justify = "left"
    return table


def recommendation_table(advice: Advice) -> Table:
    """Tabulate the recommendation and the alternatives."""
    table = new_table("recommendation", "", "")
    table.show_header = False
    plan = advice.plan
    if plan is None:
        table.add_row("preset", no_plan_words(advice.choices))
        return table
    table.add_row("preset", f"[bold]{plan.preset}[/]")
    table.add_row("cut", f"after {advice.cut}" if advice.cut else "none: all stages are kept")
    table.add_row("learning rates", tuning_words(advice))
    table.add_row("epochs", str(plan.epochs))
    table.add_row("augmentation", plan.augment)
    table.add_row("weights trained", f"{advice.trained[plan.preset]:,}" if plan.preset in advice.trained else "")
    table.add_row("runner-up", advice.choices[1].preset)
    table.add_row("fine-tuning pays", pays_words(advice.measured.size, load_thresholds().moving))
    others = ", ".join(f"{preset} {count:,}" for preset, count in advice.trained.items() if preset != plan.preset)
    table.add_row("others would train", others)
    return table


def _says(piece: Evidence) -> str:
    return says(piece.similar)


def _span(limits: tuple[float, float]) -> str:
    return f"{number(limits[0])} to {number(limits[1])}"
