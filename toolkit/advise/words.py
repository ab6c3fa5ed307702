"""Advice in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from toolkit.advise.choose import Choice, own_preset
from toolkit.advise.evidence import EVIDENCE, Evidence
from toolkit.advise.matrix import Place
from toolkit.advise.measurement import Measurement
from toolkit.advise.thresholds import Branch, Regulariser, Thresholds
from toolkit.tasks import TaskName
from toolkit.transfer import get_preset

if TYPE_CHECKING:
    from toolkit.advise.advice import Advice


MISSING: Mapping[str, str] = MappingProxyType({spec.name: spec.title for spec in EVIDENCE})
"""Name of a piece of evidence -> its title."""
_UNSURE = 0.1
_WHERE: Mapping[Branch, str] = MappingProxyType(
    {
        "few": "At this number of training images",
        "shallow": "Where shallow features tell the classes apart better than the last ones",
        "unlike": "Where images are different and the network has no BatchNorm",
        "rest": "In situations like this one",
    }
)
_THINGS: Mapping[TaskName, tuple[str, str]] = MappingProxyType(
    {"classification": ("class", "classes"), "multilabel": ("label", "labels"), "regression": ("target", "targets")}
)


def number(value: float) -> str:
    """A number of evidence: three decimals below 0.1, else two."""
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def detail_words(piece: Evidence) -> str:
    """What the number of a piece of evidence was made of, on one line."""
    return ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in piece.detail.items())


def idea_of(title: str) -> str:
    """What a preset does, without the data that the matrix has it for."""
    name, _, variant = title.partition("/")
    return get_preset(name, variant or None).description.rpartition(": ")[2]


def says(similar: float) -> str:
    """What a piece of evidence says, with its probability."""
    if abs(similar - 0.5) < _UNSURE:
        return "undecided"
    return f"similar ({similar:.0%})" if similar > 0.5 else f"different ({1 - similar:.0%})"


def tuning_words(advice: Advice) -> str:
    """The learning rates of a recommended plan."""
    rates = advice.learning_rates or {}
    if advice.plan and not rates:
        return "none: the head is solved"
    words = f"head {rates.get('head', 0.0):.3g}"
    if "backbone_lowest" in rates:
        low, high = rates["backbone_lowest"], rates["backbone_highest"]
        words += f", backbone {low:.3g}" if low == high else f", backbone {low:.3g} (low) to {high:.3g} (high stages)"
    return f"{words} ({advice.plan.optimizer})" if advice.plan else words


def why_sentences(
    measured: Measurement,
    evidence: Sequence[Evidence],
    place: Place,
    choices: Sequence[Choice],
    thresholds: Thresholds,
) -> tuple[str, str, str]:
    """Three sentences: why this size (by which rule), why so similar, why this preset."""
    return (
        _size(measured, place, thresholds),
        _similarity(measured, evidence, place),
        _preset(place, choices, thresholds.rule.held_out),
    )


def unlike_the_matrix(place: Place, title: str) -> bool:
    """Whether a preset is not that of the data's cell, in any variant."""
    return title.partition("/")[0] != place.cell


def no_plan_words(choices: Sequence[Choice]) -> str:
    """What stands instead of a preset where nothing can be trained."""
    return f"none yet; with images that can be trained on it would be {choices[0].title}"


def regulariser_sentence(found: Regulariser) -> str:
    """An option that has paid, with how much and how sure."""
    where = "with a head alone" if found.head_alone else "where stages move"
    return (
        f"worth adding: -o {found.option} gained {100 * found.gain:.1f} ± {100 * found.error:.1f} points {where}, "
        f"in {found.runs} pairs of runs on {found.least_images} to {found.most_images} images"
    )


def _size(measured: Measurement, place: Place, thresholds: Thresholds) -> str:
    size, rule = measured.size, thresholds.size
    what = f"There {'is' if size.images == 1 else 'are'} {_counted(size.images, 'training image', 'training images')}"
    if size.classes:
        what += f" for {_counted(size.classes, *_THINGS[measured.task])}"
    if size.classes > 1 and measured.task != "regression":
        what += f", {size.median:,.0f} of the median one"
    own = own_preset(place.cell)
    cell = f"{place.size} and {place.similarity}"
    begins = f"moving stages paid from about {rule.images:,.0f} images and {rule.per_class:,.0f} a class on"
    matrix = f"the matrix's own preset for {cell} data is {own} ({idea_of(own)})"
    return f"{what}: that is {place.size} ({begins}), and {matrix}."


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _similarity(measured: Measurement, evidence: Sequence[Evidence], place: Place) -> str:
    if not evidence:
        return "Nothing could be measured that tells how similar they are to what the network knows."
    agreeing = [piece for piece in evidence if (piece.similar >= 0.5) == (place.similar >= 0.5)]
    count = f"{len(agreeing)} of {len(evidence)} measurements"
    strongest = max(agreeing or evidence, key=lambda piece: piece.weight * abs(piece.similar - 0.5))
    sentence = (
        f"To {measured.network} they are {place.similarity}: {count} say so, most clearly the {strongest.title} "
        f"({number(strongest.value)})"
    )
    against = [piece.title for piece in evidence if piece.name in place.dissenting]
    return (
        f"{sentence}; but {' and '.join(against)} {'say' if len(against) > 1 else 'says'} the opposite."
        if (against)
        else f"{sentence}."
    )


def _preset(place: Place, choices: Sequence[Choice], held_out: float | None) -> str:
    """Why this preset: as the matrix has it, or what speaks for another one."""
    first, second = choices[:2]
    if first.branch is None:
        return f"The advice is the matrix's own preset, {first.title}; next comes {second.title}."
    title = own_preset(place.cell)
    what = f"the advice is {first.title}"
    if unlike_the_matrix(place, first.title):
        what += f" ({idea_of(first.title)}), unlike the matrix's own preset ({title})"
    elif first.title != title:
        what += f" ({idea_of(first.title)}), the other variant of the matrix's own preset"
    return f"{_WHERE[first.branch]}, {what}, because {_found(first, choices, held_out)}."


def _found(first: Choice, choices: Sequence[Choice], held_out: float | None) -> str:
    """What the calibration says for a preset, and how far such advice held for sets that it had not seen.

    What presets lost in the very situations that the rule was made from is too good to be expected of others.
    """
    kind = f"the calibration's {_counted(first.situations, 'situation', 'situations')} of this kind"
    if first.loss is None:
        return f"the rule took it from {kind}"
    least = all(first.loss <= one.loss for one in choices if one.loss is not None)
    found = f"in {kind} it was {'closest' if least else 'close'} to the best preset"
    if held_out is None:
        return found
    return f"{found}; on data sets that it had not seen, such advice was {100 * held_out:.1f} points behind on average"
