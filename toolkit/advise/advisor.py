"""Give advice on a config or a folder of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.advise.advice import Advice
from toolkit.advise.choose import (
    ADVISED,
    HEAD_ALONE,
    REACH,
    Choice,
    Situation,
    best_stage,
    possible,
    rank_presets,
    why_one_stage,
)
from toolkit.advise.coverage import coverage_note
from toolkit.advise.evidence import Evidence, evidence_of
from toolkit.advise.laps import Entry, race_presets, why_no_race
from toolkit.advise.matrix import MatrixPosition, locate
from toolkit.advise.measure import measure
from toolkit.advise.measurement import Measurement
from toolkit.advise.race import RUNNERS, RaceResult
from toolkit.advise.request import AdviceRequest, request_of, unlabelled_request
from toolkit.advise.sample import MOST_IMAGES
from toolkit.advise.thresholds import Regulariser, Thresholds, load_thresholds
from toolkit.advise.words import MISSING, regulariser_sentence, why_sentences
from toolkit.config import CacheConfig, Config, DataConfig, TrainConfig, TransferConfig, with_overrides
from toolkit.core.console import info
from toolkit.core.durations import seconds_of
from toolkit.core.runtime import select_device
from toolkit.engine.solvers.phase import solved, why_trained
from toolkit.tasks import TASKS
from toolkit.transfer import DenseHead, Plan, resolve_cut, resolve_head_stages, resolve_plan

_SHALLOW, _SEVERAL = "shallow_probe", "multi_stage_probe"


def advise(config: Config, *, sample: int = MOST_IMAGES, table: bool = True, race: str = "none") -> Advice:
    """Measure a config's training images with its network, and recommend a preset.

    Args:
        config: The job; ``transfer.preset`` is ignored, but its other plan options are kept.
        sample: Maximum number of images to measure.
        table: Show how many images each class has.
        race: Also train the best presets against each other, as ``transfer.race`` says.

    Returns:
        The advice; ``Advice.config`` is the same job with the recommended plan.

    Raises:
        ToolkitError: The data, the network or its weights cannot be used.

    Example:
        >>> advice = advise(load_config("configs/cub200.yaml"))  # doctest: +SKIP
        >>> Trainer.from_config(advice.config).fit()  # doctest: +SKIP
    """
    device = select_device(config.train.device)
    request = request_of(config, table=table)
    measured = measure(
        request, sample=sample, seed=config.seed, cache=config.cache, device=device, workers=config.data.workers
    )
    advice = judge(request, measured, load_thresholds(), config)
    if race == "none" or advice.plan is None:
        return advice
    obstacle = why_no_race(config, len(request.images))
    if obstacle:
        info(f"no race of presets: {obstacle}")
        return advice
    budget = None if race == "auto" else seconds_of(race, "transfer.race")
    found = race_presets(entries_of(advice, config), config, request.images, budget)
    return judge(request, measured, load_thresholds(), config, found)


def entries_of(advice: Advice, config: Config, most: int = RUNNERS) -> list[Entry]:
    """Return the rule's best presets, ready to race.

    Args:
        advice: The advice, with a plan.
        config: The job.
        most: Maximum number of presets.
    """
    entries = []
    for choice in advice.choices[:most]:
        asked = (
            with_overrides(config, train={"solver": "sgd"}) if _unsolvable(choice, advice.measured, config) else config
        )
        plan = _plan(choice, advice.measured, asked.transfer, asked.train)
        entries.append(Entry(choice.preset, choice.loss or 0.0, _config(asked, choice, advice.measured, plan), plan))
    return entries


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
    """Do the same for images without labels, skipping what needs labels.

    Args:
        images: Image files.
        network: Name of a network.
        pretrained: Source of its weights: True, a file or a URL.
        sample: Maximum number of images to measure.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:k``.
        cache: Where to keep the measurement.
        image_size: Side of the square input, pixels; by default that of ``data``, or else the network's.
        data: Preprocessing: ``image_size``, ``crop_ratio``, ``mean``, ``std`` and ``workers`` are used.
        in_channels: Channels of the images, as in ``model.in_channels``.
    """
    chosen, data = select_device(device), data or DataConfig()
    prepared = data.model_copy(update={"image_size": image_size}) if image_size else data
    request = unlabelled_request(images, network, pretrained, prepared, in_channels)
    measured = measure(request, sample=sample, cache=cache or CacheConfig(), device=chosen, workers=data.workers)
    return judge(request, measured, load_thresholds(), None)


def judge(
    request: AdviceRequest,
    measured: Measurement,
    thresholds: Thresholds,
    config: Config | None,
    race: RaceResult | None = None,
) -> Advice:
    """Turn a measurement into advice.

    Args:
        request: The request that was measured.
        measured: The measurement.
        thresholds: The decision thresholds.
        config: The job, or None.
        race: The end of a race of presets, whose winner is recommended; None: the rule decides.
    """
    evidence, position, choices = recommend(measured, thresholds)
    hindrance = why_one_stage(config.model) if config else None
    if hindrance:
        choices = [choice for choice in choices if choice.preset != _SEVERAL]
    if race is not None:
        choices.sort(key=lambda choice: choice.preset != race.winner)
    coverage = coverage_note(measured, situation_of(measured, position), thresholds)
    notes = (*_notes(request, measured, evidence, position, thresholds), *([coverage] if coverage else []))
    notes += (f"{_SEVERAL} is left out: {hindrance}",) if hindrance else ()
    if config and not request.obstacle and _unsolvable(choices[0], measured, config):
        config = with_overrides(config, train={"solver": "sgd"})
        notes += (f"train.solver: exact only trains a head, but {choices[0].preset} trains stages: using sgd instead",)
    transfer, train = (config.transfer, config.train) if config else (TransferConfig(), TrainConfig())
    plan = None if request.obstacle else _plan(choices[0], measured, transfer, train)
    if plan and _is_solved(plan, train, config):
        plan = solved(plan)
    why = why_sentences(measured, evidence, position, choices, thresholds)
    return Advice(
        name=request.name,
        measured=measured,
        evidence=evidence,
        position=position,
        choices=tuple(choices),
        plan=plan,
        trained=_trained(measured, transfer, train) if measured.size.classes else {},
        config=_config(config, choices[0], measured, plan) if config and plan else None,
        why=why if race is None else (*why[:-1], race.words()),
        expected_loss=thresholds.rule.held_out if choices[0].loss is not None and race is None else None,
        race=race,
        notes=(*notes, *_regularisers(measured, choices[0], thresholds.regularisers, config)),
    )


def recommend(
    measured: Measurement, thresholds: Thresholds
) -> tuple[tuple[Evidence, ...], MatrixPosition, list[Choice]]:
    """Return the evidence, the position in the matrix, and the presets, the recommended one first.

    Args:
        measured: The measurement.
        thresholds: The decision thresholds.
    """
    evidence = evidence_of(measured, thresholds)
    position = locate(measured.size, evidence, thresholds.size)
    choices = rank_presets(situation_of(measured, position), position, thresholds.rule, thresholds.moving)
    if not TASKS[measured.task].calibrated:  # losses are of top-1 accuracy
        choices = [replace(choice, loss=None) for choice in choices]
    return evidence, position, possible(choices, measured.depth, len(measured.stages))


def situation_of(measured: Measurement, position: MatrixPosition) -> Situation:
    """Return the inputs of the preset rules."""
    size, depth = measured.size, measured.depth
    return Situation(
        train_images=size.images,
        per_class=size.median,
        similar=position.similar,
        ahead=0.0 if depth is None else depth.scores[-1] - depth.scores[_usual_cut(measured) - 1],
        ahead_error=None if depth is None else math.hypot(depth.errors[-1], depth.errors[_usual_cut(measured) - 1]),
    )


def _usual_cut(measured: Measurement) -> int:
    """Return the number of stages that ``shallow_probe`` keeps by default."""
    return resolve_cut(TransferConfig(preset="shallow_probe"), [stage.info for stage in measured.stages]) or 1


def _requested_transfer(preset: str, measured: Measurement, transfer: TransferConfig) -> TransferConfig:
    """Combine the user's options with a preset, and with the cut at which the classes separate best."""
    values = {**transfer.model_dump(exclude={"size"}), "preset": preset}
    if preset == _SHALLOW and transfer.cut is None and measured.depth is not None:
        kept = best_stage(measured.depth)
        values["cut"] = measured.stages[kept - 1].name if kept < len(measured.stages) else None
    return TransferConfig.model_validate(values)


def _plan(choice: Choice, measured: Measurement, transfer: TransferConfig, train: TrainConfig) -> Plan:
    stages, requested = (
        [stage.info for stage in measured.stages],
        _requested_transfer(choice.preset, measured, transfer),
    )
    head = DenseHead(_head_width(requested, measured), measured.size.classes)  # the default; the job resolves its own
    return resolve_plan(requested, train, stages, measured.task, head)


def _head_width(transfer: TransferConfig, measured: Measurement) -> int:
    """Return the number of features that a preset's head reads."""
    kept = measured.stages[: resolve_cut(transfer, [stage.info for stage in measured.stages])]
    read = resolve_head_stages(transfer, None, [stage.name for stage in kept])
    return sum(kept[index].width for index in read) if read else kept[-1].width


def _is_solved(plan: Plan, train: TrainConfig, config: Config | None) -> bool:
    """Return whether training with this plan would solve the head exactly, unless the config says otherwise."""
    alone = all(phase.frozen == len(phase.multipliers) for phase in plan.phases)
    return alone and train.solver == "auto" and (config is None or not why_trained(config))


def _unsolvable(choice: Choice, measured: Measurement, config: Config) -> bool:
    """Return whether the exact solver is requested but the preset's plan has no phase that only trains a head."""
    if config.train.solver != "exact":
        return False
    trained = config.train.model_copy(update={"solver": "sgd"})
    requested = config.transfer.model_copy(update={"head_first": config.transfer.head_first or 0})
    plan = _plan(choice, measured, requested, trained)
    return all(phase.frozen < len(measured.stages[: plan.cut]) for phase in plan.phases)


def _config(config: Config, choice: Choice, measured: Measurement, plan: Plan) -> Config:
    """Return the job with the recommended plan, and with its learning rate unless the user set one.

    Epochs and ``head_first`` are left to the preset: written down, they would look like the user's options, which apply
    to every preset in a comparison.
    """
    train: dict[str, Any] = {}
    requested = _requested_transfer(choice.preset, measured, config.transfer).model_dump()
    one_rate = (
        not config.transfer.phases and not config.transfer.gradual_unfreezing and plan.phases[-1].solver != "exact"
    )
    if one_rate and config.model.head.type == "linear":  # the job decides the rates of other heads
        train["lr"] = config.train.lr or plan.phases[-1].lr
    return with_overrides(config, transfer=requested, train=train)


def _trained(measured: Measurement, transfer: TransferConfig, train: TrainConfig) -> dict[str, int]:
    """Return the number of weights that each preset trains, including the head."""
    del transfer  # the user's options for one plan do not apply to the others
    found = {}
    for preset in ADVISED:
        plan = _plan(Choice(preset), measured, TransferConfig(), train.model_copy(update={"solver": "sgd"}))
        kept = measured.stages[: plan.cut]
        width = _head_width(TransferConfig.model_validate({"preset": preset}), measured)
        head = (width + 1) * measured.size.classes
        found[preset] = head + sum(stage.parameters for stage in kept[plan.frozen :])
    return found


def _regularisers(
    measured: Measurement, choice: Choice, known: Sequence[Regulariser], config: Config | None
) -> tuple[str, ...]:
    """Describe options that helped in the calibration and that the config does not use, the most helpful first."""
    if not TASKS[measured.task].calibrated:
        return ()
    used = {} if config is None else _options(config)
    same = [
        option
        for option in known
        if option.head_alone == (choice.preset in HEAD_ALONE) and measured.size.images <= REACH * option.most_images
    ]
    helpful = [option for option in same if option.pays and not used.get(option.option.partition("=")[0])]
    return tuple(regulariser_sentence(option) for option in sorted(helpful, key=lambda option: -option.gain))


def _options(config: Config) -> dict[str, bool]:
    """Return which regularisers a config uses."""
    train = config.train
    return {
        "train.label_smoothing": train.label_smoothing > 0,
        "train.mixup": train.mixup > 0,
        "train.l2_sp": train.l2_sp > 0,
        "train.tta": train.tta > 1,
        "callbacks.weight_averaging": config.callbacks.weight_averaging is not None,
    }


def _notes(
    request: AdviceRequest,
    measured: Measurement,
    evidence: Sequence[Evidence],
    position: MatrixPosition,
    thresholds: Thresholds,
) -> tuple[str, ...]:
    notes = []
    if request.obstacle:
        notes.append(f"these images cannot be used for training: {request.obstacle}")
    if not request.labelled:
        notes.append("the images have no labels: the preset depends only on their number and similarity")
    notes += measured.notes
    reasons: dict[str, list[str]] = {}
    for name, why in measured.missing.items():
        reasons.setdefault(why, []).append(MISSING.get(name, name))
    notes += [f"not measured because {why}: {', '.join(names)}" for why, names in reasons.items()]
    if len(evidence) == 1:
        notes.append(f"{evidence[0].title} is the only evidence of similarity, which is not enough to decide")
    if position.dissenting:
        names = ", ".join(MISSING[name] for name in position.dissenting)
        notes.append(f"the evidence disagrees ({names}): also compare it with the runner-up")
    if thresholds.provisional:
        notes.append("the preset is that of the matrix, which is not backed by a bake-off")
    return tuple(notes)
