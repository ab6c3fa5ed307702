"""Advice in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from toolkit.advise.choose import Choice
from toolkit.advise.evidence import EVIDENCE, Evidence
from toolkit.advise.measurement import Measurement
from toolkit.advise.place import Place
from toolkit.advise.thresholds import Branch, Regulariser
from toolkit.task import TaskName
from toolkit.transfer import get_preset

if TYPE_CHECKING:
    from toolkit.advise.advice import Advice

__all__ = ["MISSING", "number", "regulariser_sentence", "says", "tuning_words", "why_sentences"]

MISSING: Mapping[str, str] = MappingProxyType({spec.name: spec.title for spec in EVIDENCE})
"""Name of a piece of evidence -> its title."""
_UNSURE = 0.1
_WHERE: Mapping[Branch, str] = MappingProxyType(
    {
        "few": "With so few training images",
        "shallow": "Where shallow features tell the classes apart better than the last ones",
        "unlike": "Where images are different and the network has no BatchNorm",
        "rest": "In situations like this one",
    }
)
_THINGS: Mapping[TaskName, str] = MappingProxyType(
    {"classification": "classes", "multilabel": "labels", "regression": "targets"}
)


def number(value: float) -> str:
    """A number of evidence: three decimals below 0.1, else two."""
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def says(similar: float) -> str:
    """What a piece of evidence says, with its probability."""
    if abs(similar - 0.5) < _UNSURE:
        return "undecided"
    return f"similar ({similar:.0%})" if similar > 0.5 else f"different ({1 - similar:.0%})"


def tuning_words(advice: Advice) -> str:
    """The learning rates of a recommended plan."""
    rates = advice.learning_rates or {}
    words = f"head {rates.get('head', 0.0):.3g}"
    if "backbone_lowest" in rates:
        low, high = rates["backbone_lowest"], rates["backbone_highest"]
        words += f", backbone {low:.3g}" if low == high else f", backbone {low:.3g} (low) to {high:.3g} (high stages)"
    return f"{words} ({advice.plan.optimizer})" if advice.plan else words


def why_sentences(
    measured: Measurement, evidence: Sequence[Evidence], place: Place, choices: Sequence[Choice]
) -> tuple[str, str, str]:
    """Three sentences: why this size, why so similar, why this preset."""
    return (_size(measured, place), _similarity(measured, evidence, place), _preset(measured, choices))


def regulariser_sentence(found: Regulariser) -> str:
    """An option that has paid, with how much and how sure."""
    where = "with a head alone" if found.head_alone else "where stages move"
    return (
        f"worth adding: -o {found.option} gained {100 * found.gain:.1f} ± {100 * found.error:.1f} points {where}, "
        f"in {found.runs} pairs of runs"
    )


def _size(measured: Measurement, place: Place) -> str:
    size = measured.size
    what = f"There are {size.images:,} training images"
    if size.classes:
        what += f" for {size.classes} {_THINGS[measured.task]}"
    if size.classes and measured.task != "regression":
        what += f", {size.median:,.0f} of the median one"
    so = (
        "enough to move many weights without learning the images by heart"
        if place.size == "large"
        else "too few to move many of the network's weights freely"
    )
    return f"{what}: that is {place.size}, {so}."


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


def _preset(measured: Measurement, choices: Sequence[Choice]) -> str:
    first, second = choices[:2]
    name, _, variant = first.title.partition("/")
    idea = get_preset(name, variant or None).description.rpartition(": ")[2]
    if first.loss is None or second.loss is None:
        return f"For such data the rule is {first.title} ({idea}); next comes {second.title}."
    assert first.branch is not None
    return (
        f"{_WHERE[first.branch]}, the calibration found {first.title} ({idea}) best: in {first.situations} situations "
        f"it lost {100 * first.loss:.1f} points to the best preset on average, {second.title} {100 * second.loss:.1f}."
    )
