"""From a config, or a folder of images, to advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.advise.advice import Advice
from toolkit.advise.choose import ADVISED, HEAD_ALONE, REACH, Choice, Situation, best_stage, rank_presets
from toolkit.advise.coverage import outside_note
from toolkit.advise.evidence import Evidence, evidence_of
from toolkit.advise.matrix import Place, place_of
from toolkit.advise.measure import measure
from toolkit.advise.measurement import Measurement
from toolkit.advise.request import Subject, subject_of, unlabelled
from toolkit.advise.sample import MOST_IMAGES
from toolkit.advise.thresholds import Regulariser, Thresholds, load_thresholds
from toolkit.advise.words import MISSING, regulariser_sentence, why_sentences
from toolkit.config import CacheConfig, Config, DataConfig, TrainConfig, TransferConfig, with_overrides
from toolkit.core.runtime import select_device
from toolkit.engine.solvers.phase import solved, why_trained
from toolkit.tasks import TASKS
from toolkit.transfer import DenseHead, Plan, resolve_cut, resolve_plan

_SHALLOW = "small_different/shallow_features"


def advise(config: Config, *, sample: int = MOST_IMAGES, table: bool = True) -> Advice:
    """Measure a config's training images with its network, and recommend a preset.

    Args:
        config: The job; its ``transfer.preset`` does not count, and what else it says of the plan is kept.
        sample: Images to look at, at most.
        table: Show how many images each class has.

    Returns:
        The advice; ``Advice.config`` is the same job with the recommended plan.

    Raises:
        ToolkitError: The data, the network or its weights cannot be used.

    Example:
        >>> advice = advise(load_config("configs/cub200.yaml"))  # doctest: +SKIP
        >>> Trainer.from_config(advice.config).fit()  # doctest: +SKIP
    """
    device = select_device(config.train.device)
    subject = subject_of(config, table=table)
    measured = measure(
        subject, sample=sample, seed=config.seed, cache=config.cache, device=device, workers=config.data.workers
    )
    return judge(subject, measured, load_thresholds(), config)


def advise_images(
    images: Sequence[Path],
    network: str,
    pretrained: bool | str | Path = True,
    *,
    sample: int = MOST_IMAGES,
    device: str = "auto",
    cache: CacheConfig | None = None,
    image_size: int | None = None,
    data: DataConfig | None = None,
    in_channels: int | None = None,
) -> Advice:
    """The same for images without labels: what needs labels is left out.

    Args:
        images: Files.
        network: Name of a network.
        pretrained: Where its weights come from: True, a file or a URL.
        sample: Images to look at, at most.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:k``.
        cache: Where the measurement is kept.
        image_size: Side of the square input, pixels; by default that of ``data``, or else the network's own.
        data: How images are prepared: ``image_size``, ``crop_ratio``, ``mean``, ``std`` and ``workers`` count.
        in_channels: Channels of the images, as ``model.in_channels``.
    """
    chosen, data = select_device(device), data or DataConfig()
    prepared = data.model_copy(update={"image_size": image_size}) if image_size else data
    subject = unlabelled(images, network, pretrained, prepared, in_channels)
    measured = measure(subject, sample=sample, cache=cache or CacheConfig(), device=chosen, workers=data.workers)
    return judge(subject, measured, load_thresholds(), None)


def judge(subject: Subject, measured: Measurement, thresholds: Thresholds, config: Config | None) -> Advice:
    """From what was measured to advice.

    Args:
        subject: What was measured.
        measured: The numbers.
        thresholds: What decides.
        config: The job; None where there is none.
    """
    evidence, place, choices = recommend(measured, thresholds)
    outside = outside_note(measured, situation_of(measured, place), thresholds)
    notes = (*_notes(subject, measured, evidence, place, thresholds), *([outside] if outside else []))
    if config and not subject.obstacle and _unsolvable(choices[0], measured, config):
        config = with_overrides(config, train={"solver": "sgd"})
        notes += (f"train.solver: exact is for a head alone, and {choices[0].title} moves stages: it is sgd here",)
    transfer, train = (config.transfer, config.train) if config else (TransferConfig(), TrainConfig())
    plan = None if subject.obstacle else _plan(choices[0], measured, transfer, train)
    if plan and _is_solved(plan, train, config):
        plan = solved(plan)
    return Advice(
        name=subject.name,
        measured=measured,
        evidence=evidence,
        place=place,
        choices=tuple(choices),
        plan=plan,
        trained=_trained(measured, transfer, train) if measured.size.classes else {},
        config=_config(config, choices[0], measured, plan) if config and plan else None,
        why=why_sentences(measured, evidence, place, choices, thresholds),
        expected_loss=thresholds.rule.held_out if choices[0].loss is not None else None,
        notes=(*notes, *_regularisers(measured, choices[0], thresholds.regularisers, config)),
    )


def recommend(measured: Measurement, thresholds: Thresholds) -> tuple[tuple[Evidence, ...], Place, list[Choice]]:
    """Evidence, place in the matrix, and presets, the recommended one first.

    Args:
        measured: The numbers.
        thresholds: What decides.
    """
    evidence = evidence_of(measured, thresholds)
    place = place_of(measured.size, evidence, thresholds.size)
    choices = rank_presets(situation_of(measured, place), place, thresholds.rule)
    if not TASKS[measured.task].calibrated:  # losses are of top-1 accuracy
        choices = [replace(choice, loss=None) for choice in choices]
    return evidence, place, _possible(choices, measured)


def situation_of(measured: Measurement, place: Place) -> Situation:
    """What rules for presets look at."""
    size, depth = measured.size, measured.depth
    return Situation(
        train_images=size.images,
        per_class=size.median,
        similar=place.similar,
        batch_norm=measured.batchnorm is not None,
        ahead=0.0 if depth is None else depth.scores[-1] - depth.scores[_usual_cut(measured) - 1],
        ahead_error=None if depth is None else math.hypot(depth.errors[-1], depth.errors[_usual_cut(measured) - 1]),
    )


def _usual_cut(measured: Measurement) -> int:
    """Number of stages that ``shallow_features`` keeps by itself."""
    return resolve_cut(TransferConfig(preset="small_different"), [one.info for one in measured.stages]) or 1


def _possible(choices: Sequence[Choice], measured: Measurement) -> list[Choice]:
    """Shallow features make sense where some stage is better than the last; else the head goes on top."""
    if measured.depth is None or best_stage(measured.depth) < len(measured.stages):
        return list(choices)
    titles: dict[str, Choice] = {}
    for choice in choices:
        title = "small_similar" if choice.title == _SHALLOW else choice.title
        titles.setdefault(title, replace(choice, title=title))
    rest = [Choice(title) for title in ("small_similar", "finetune") if title not in titles]
    return [*titles.values(), *(rest if len(titles) < 2 else ())]


def _wishes(title: str, measured: Measurement, transfer: TransferConfig) -> TransferConfig:
    """The user's wishes with a preset, and with the cut where the classes separate best."""
    preset, _, variant = title.partition("/")
    values = {**transfer.model_dump(exclude={"size"}), "preset": preset, "variant": variant or None}
    if title == _SHALLOW and transfer.cut is None and measured.depth is not None:
        kept = best_stage(measured.depth)
        values["cut"] = measured.stages[kept - 1].name if kept < len(measured.stages) else None
    return TransferConfig.model_validate(values)


def _plan(choice: Choice, measured: Measurement, transfer: TransferConfig, train: TrainConfig) -> Plan:
    stages, wishes = [stage.info for stage in measured.stages], _wishes(choice.title, measured, transfer)
    width = measured.stages[: resolve_cut(wishes, stages)][-1].width
    head = DenseHead(width, measured.size.classes)  # the default one; the job resolves its own again
    return resolve_plan(wishes, train, stages, measured.task, head)


def _is_solved(plan: Plan, train: TrainConfig, config: Config | None) -> bool:
    """Whether a training of this plan computes the head where the config leaves that open."""
    alone = all(phase.frozen == len(phase.multipliers) for phase in plan.phases)
    return alone and train.solver == "auto" and (config is None or not why_trained(config))


def _unsolvable(choice: Choice, measured: Measurement, config: Config) -> bool:
    """Whether the exact solver is asked for, and the preset's plan has no phase of a head alone."""
    if config.train.solver != "exact":
        return False
    trained = config.train.model_copy(update={"solver": "sgd"})
    wishes = config.transfer.model_copy(update={"head_first": config.transfer.head_first or 0})
    plan = _plan(choice, measured, wishes, trained)
    return all(phase.frozen < len(measured.stages[: plan.cut]) for phase in plan.phases)


def _config(config: Config, choice: Choice, measured: Measurement, plan: Plan) -> Config:
    """The job with the recommended plan, and its rate in figures where the user has not said one.

    Epochs and ``head_first`` stay out: they are the preset's own, and written down they would look like the user's,
    which hold for every preset that this one is compared with.
    """
    train: dict[str, Any] = {}
    wishes = _wishes(choice.title, measured, config.transfer).model_dump()
    one_rate = (
        not config.transfer.phases and not config.transfer.gradual_unfreezing and plan.phases[-1].solver != "exact"
    )
    if one_rate and config.model.head.type == "linear":  # rates of other heads are the job's to know
        train["lr"] = config.train.lr or plan.phases[-1].lr
    return with_overrides(config, transfer=wishes, train=train)


def _trained(measured: Measurement, transfer: TransferConfig, train: TrainConfig) -> dict[str, int]:
    """Preset -> weights that it trains, its head included."""
    del transfer  # what the user wants of one plan says nothing of the others
    found = {}
    for title in ADVISED:
        plan = _plan(Choice(title), measured, TransferConfig(), train.model_copy(update={"solver": "sgd"}))
        kept = measured.stages[: plan.cut]
        head = (kept[-1].width + 1) * measured.size.classes
        found[title] = head + sum(stage.parameters for stage in kept[plan.frozen :])
    return found


def _regularisers(
    measured: Measurement, choice: Choice, known: Sequence[Regulariser], config: Config | None
) -> tuple[str, ...]:
    """What the calibration says of options that the config does not use yet, the most helpful first."""
    if not TASKS[measured.task].calibrated:
        return ()
    used = {} if config is None else _options(config)
    same = [
        one
        for one in known
        if one.head_alone == (choice.title in HEAD_ALONE) and measured.size.images <= REACH * one.most_images
    ]
    helpful = [one for one in same if one.pays and not used.get(one.option.partition("=")[0])]
    return tuple(regulariser_sentence(one) for one in sorted(helpful, key=lambda one: -one.gain))


def _options(config: Config) -> dict[str, bool]:
    """Which regularisers a config uses."""
    train = config.train
    return {
        "train.label_smoothing": train.label_smoothing > 0,
        "train.mixup": train.mixup > 0,
        "train.l2_sp": train.l2_sp > 0,
        "train.tta": train.tta > 1,
        "callbacks.weight_averaging": config.callbacks.weight_averaging is not None,
    }


def _notes(
    subject: Subject, measured: Measurement, evidence: Sequence[Evidence], place: Place, thresholds: Thresholds
) -> tuple[str, ...]:
    notes = []
    if subject.obstacle:
        notes.append(f"these images cannot be trained on as they are: {subject.obstacle}")
    if not subject.labelled:
        notes.append("the images have no labels: the preset follows from their number and their similarity alone")
    notes += measured.notes
    reasons: dict[str, list[str]] = {}
    for name, why in measured.missing.items():
        reasons.setdefault(why, []).append(MISSING.get(name, name))
    notes += [f"left out, as {why}: {', '.join(names)}" for why, names in reasons.items()]
    if len(evidence) == 1:
        notes.append(f"{evidence[0].title} is the only evidence of similarity: one alone decides nothing")
    if place.dissenting:
        names = ", ".join(MISSING[name] for name in place.dissenting)
        notes.append(f"the evidence disagrees ({names}): try the runner-up too (tools/compare.py)")
    if thresholds.provisional:
        notes.append(
            "the preset is that of the matrix, and small or large is a rule of thumb: no bake-off stands behind them"
        )
    return tuple(notes)
