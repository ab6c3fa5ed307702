"""Wording of the advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from toolkit.advise.choose import Choice, is_of_cell, matrix_preset
from toolkit.advise.evidence import EVIDENCE, Evidence
from toolkit.advise.matrix import MatrixPosition
from toolkit.advise.measurement import Measurement, Size
from toolkit.advise.thresholds import Branch, MovingRule, Regulariser, SizeRule, Thresholds
from toolkit.tasks import TASKS
from toolkit.transfer import get_preset

if TYPE_CHECKING:
    from toolkit.advise.advice import Advice


MISSING: Mapping[str, str] = MappingProxyType({spec.name: spec.title for spec in EVIDENCE})
"""Title of each piece of evidence by name."""
_UNSURE = 0.1
_WHERE: Mapping[Branch, str] = MappingProxyType(
    {
        "few": "with so few",
        "shallow": "when shallow features separate the classes better than the last ones",
        "unlike": "when images are different",
        "rest": "in situations like this one",
    }
)


def number(value: float) -> str:
    """Format a number: three decimals below 0.1, else two."""
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def detail_words(piece: Evidence) -> str:
    """List the components of a piece of evidence on one line."""
    return ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in piece.detail.items())


def idea_of(preset: str) -> str:
    """Describe what a preset does."""
    return get_preset(preset).description


def says(similar: float) -> str:
    """State the verdict of a piece of evidence with its probability."""
    if abs(similar - 0.5) < _UNSURE:
        return "undecided"
    return f"similar ({similar:.0%})" if similar > 0.5 else f"different ({1 - similar:.0%})"


def tuning_words(advice: Advice) -> str:
    """Describe the learning rates of a recommended plan."""
    rates = advice.learning_rates or {}
    if advice.plan and not rates:
        return "none: the head is solved exactly"
    words = f"head {rates.get('head', 0.0):.3g}"
    if "backbone_lowest" in rates:
        low, high = rates["backbone_lowest"], rates["backbone_highest"]
        words += f", backbone {low:.3g}" if low == high else f", backbone {low:.3g} (low) to {high:.3g} (high stages)"
    return f"{words} ({advice.plan.optimizer})" if advice.plan else words


def why_sentences(
    measured: Measurement,
    evidence: Sequence[Evidence],
    position: MatrixPosition,
    choices: Sequence[Choice],
    thresholds: Thresholds,
) -> tuple[str, str, str]:
    """Return three sentences: the reasons for the size (and its rule), the similarity and the preset."""
    return (
        _size(measured, position, thresholds),
        _similarity(measured, evidence, position),
        _preset(measured, position, choices, thresholds),
    )


def large_words(rule: SizeRule) -> str:
    """State from when on a data set is large."""
    return f"as a rule of thumb, large begins at about {rule.images:,.0f} images and {rule.per_class:,.0f} per class"


def pays_words(size: Size, moving: MovingRule) -> str:
    """State from when on fine-tuning stages clearly pays, and how many images there are."""
    least, have = f"{moving.images:,.0f} images", f"{size.images:,}"
    if size.median < size.images:
        least, have = f"{least} ({moving.per_class:,.0f} per class)", f"{have} ({size.median:,.0f} per class)"
    return f"from about {least} on, and you have {have}"


def unlike_the_matrix(position: MatrixPosition, preset: str) -> bool:
    """Return whether the matrix does not name a preset in the data's cell."""
    return not is_of_cell(preset, position.cell)


def no_plan_words(choices: Sequence[Choice]) -> str:
    """Describe the preset for images that cannot be used for training."""
    return f"none yet; with images suitable for training it would be {choices[0].preset}"


def regulariser_sentence(found: Regulariser) -> str:
    """Describe an option that paid off: by how much and how surely."""
    where = "with only a head" if found.head_alone else "with trainable stages"
    return (
        f"worth adding: -o {found.option} gained {100 * found.gain:.1f} ± {100 * found.error:.1f} points {where}, "
        f"in {found.runs} pairs of runs on {found.least_images} to {found.most_images} images"
    )


def _size(measured: Measurement, position: MatrixPosition, thresholds: Thresholds) -> str:
    size, rule, task = measured.size, thresholds.size, TASKS[measured.task]
    what = f"There {'is' if size.images == 1 else 'are'} {_counted(size.images, 'training image', 'training images')}"
    if size.classes:
        what += f" for {_counted(size.classes, task.outputs, task.plural)}"
    if size.classes > 1 and not task.predicts_numbers:
        what += f", {size.median:,.0f} in the median one"
    own = matrix_preset(position.cell)
    matrix = f"for {position.size} and {position.similarity} data, the matrix's preset is {own} ({idea_of(own)})"
    return f"{what}: that is {position.size} ({large_words(rule)}), and {matrix}."


def _counted(count: int, singular: str, plural: str) -> str:
    return f"{count:,} {singular if count == 1 else plural}"


def _similarity(measured: Measurement, evidence: Sequence[Evidence], position: MatrixPosition) -> str:
    if not evidence:
        return "Nothing could be measured that shows how similar they are to what the network knows."
    agreeing = [piece for piece in evidence if (piece.similar >= 0.5) == (position.similar >= 0.5)]
    count = f"{len(agreeing)} of {len(evidence)} measurements"
    strongest = max(agreeing or evidence, key=lambda piece: piece.weight * abs(piece.similar - 0.5))
    sentence = (
        f"To {measured.network} they are {position.similarity}: {count} agree, most clearly the {strongest.title} "
        f"({number(strongest.value)})"
    )
    against = [piece.title for piece in evidence if piece.name in position.dissenting]
    return (
        f"{sentence}; but {' and '.join(against)} {'disagree' if len(against) > 1 else 'disagrees'}."
        if against
        else f"{sentence}."
    )


def _preset(measured: Measurement, position: MatrixPosition, choices: Sequence[Choice], thresholds: Thresholds) -> str:
    """Give the reason for the preset: it is the matrix's, or the calibration favours another one."""
    first, second = choices[:2]
    own, pays = matrix_preset(position.cell), pays_words(measured.size, thresholds.moving)
    pays = f"Fine-tuning stages clearly pays {pays}"
    if first.branch is None and unlike_the_matrix(position, first.preset):
        return f"{pays}: the advice is {first.preset}, as for large data; the runner-up is {second.preset}."
    if first.branch is None:
        return f"The advice is the matrix's preset, {first.preset}; the runner-up is {second.preset}."
    what = f"the advice is {first.preset}"
    if unlike_the_matrix(position, first.preset):
        what += f" ({idea_of(first.preset)}), unlike the matrix's preset ({own})"
    elif first.preset != own:
        what += f" ({idea_of(first.preset)}), the matrix's other preset"
    because = _found(first, choices, thresholds.rule.held_out)
    return f"{pays}: {_WHERE[first.branch]}, {what}, because {because}."


def _found(first: Choice, choices: Sequence[Choice], held_out: float | None) -> str:
    """Describe the calibration's result for a preset, and how well such advice held up on unseen data sets.

    Losses in the situations from which the rule was derived would be too optimistic for others.
    """
    kind = f"the calibration's {_counted(first.situations, 'situation', 'situations')} of this kind"
    if first.loss is None:
        return f"the rule was derived from {kind}"
    least = all(first.loss <= choice.loss for choice in choices if choice.loss is not None)
    found = f"in {kind} it was {'closest' if least else 'close'} to the best preset"
    if held_out is None:
        return found
    return f"{found}; on unseen data sets, such advice was {100 * held_out:.1f} points behind on average"
