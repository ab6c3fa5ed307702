"""From a config to a job: read the data, build the network and resolve the plan, without training anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from toolkit.config import Config, SourceConfig
from toolkit.core.console import quietly
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import seed_everything, select_device
from toolkit.core.stages import StageInfo
from toolkit.data import DataBundle, ImageCache, Preprocessing, build_data, normalisation
from toolkit.data.bit_depth import Decoding
from toolkit.engine.job import Job
from toolkit.engine.learning.class_weights import class_weights
from toolkit.engine.learning.l2_sp import L2SP
from toolkit.engine.learning.mixup import Mixing
from toolkit.engine.learning.objective import Objective, make_objective
from toolkit.engine.runs.lineage import ancestry_of
from toolkit.engine.runs.source import finished_source
from toolkit.tasks import TASKS
from toolkit.transfer import DenseHead, Plan, resolve_cut, resolve_head_stages, resolve_plan
from toolkit.zoo import NetworkSpec, StagedNetwork, create_network, get_spec, load_weights, resolve_weights
from toolkit.zoo.head import LinearHead

_RGB = 3
_FOCAL_GAMMA = 2.0  # Lin et al. (arXiv 1708.02002) found it best
_EFFECTIVE_BETA = 0.999  # in the middle of the range that Cui et al. (arXiv 1901.05555) tried


def build_job(config: Config, weights: Path | None = None, *, read_before: bool = False) -> Job:
    """Read the data, build the network, resolve the plan.

    Args:
        config: The config. A source task that it starts from must already be trained (``toolkit.engine.source``).
        weights: A trained network's weights, including its head, to use instead of ``model.pretrained``.
        read_before: Whether the data were read just before, so that messages about them are not repeated.

    Raises:
        ToolkitError: The config does not fit the data, the network or the machine.
    """
    device = select_device(config.train.device)
    spec = get_spec(config.model.name)
    with quietly() if read_before else nullcontext():
        data, preprocessing = _read_data(config, spec)
    new = partial(
        create_network,
        spec.name,
        len(data.classes),
        image_size=preprocessing.image_size,
        in_channels=config.model.in_channels,
        pooling=config.model.pooling,
        task=config.task,
    )
    seed_everything(config.seed)
    network = new(head=config.model.head.reading(()))
    all_stages = tuple(network.describe(preprocessing.image_size))
    cut = resolve_cut(config.transfer, all_stages)
    kept = [stage.name for stage in all_stages[:cut]]
    read = resolve_head_stages(config.transfer, config.model.head.stages, kept)
    if cut is not None or read:
        seed_everything(config.seed)
        network = new(cut=cut, head=config.model.head.reading([kept[index] for index in read]))
    plan = plan_of(config, all_stages, dense_head(network))  # reports its errors before weights are read
    start = _load_start(config, plan, network) if weights is None else weights
    network.keep_statistics(plan.batch_norm == "frozen")
    objective = _objective(config, data, network)
    if weights is not None:
        load_weights(network, weights)
    network.set_frozen(plan.phases[0].frozen)  # baseline to detect manual freezing later
    return Job(
        config,
        data,
        network,
        plan,
        all_stages[: plan.cut],
        preprocessing,
        device,
        _origin(start),
        objective,
        ancestry_of(start),
        ImageCache() if config.data.cache_images == "memory" else None,
        _mixing(config, data),
        L2SP(network, config.train.l2_sp) if config.train.l2_sp and weights is None else None,
        all_stages=all_stages,
        own_plan=plan,
    )


def plan_of(config: Config, stages: Sequence[StageInfo], head: DenseHead | None = None) -> Plan:
    """The plan of a config; arguments as for ``resolve_plan``."""
    random = config.model.pretrained is False
    wanted = config.model.head.stages
    plan = resolve_plan(
        config.transfer, config.train, stages, config.task, head, pretrained=not random, head_stages=wanted
    )
    return plan if config.data.augment == "auto" else plan.with_augment(config.data.augment)


def dense_head(network: StagedNetwork) -> DenseHead | None:
    """The head if it is a single dense layer that standardises its features; else None."""
    dense = isinstance(network.standardising_head, LinearHead)
    return DenseHead(network.feature_width, network.num_classes) if dense else None


def _read_data(config: Config, spec: NetworkSpec) -> tuple[DataBundle, Preprocessing]:
    channels = config.model.in_channels or _RGB
    data = build_data(config.data, config.task, channels, config.cache.dir.expanduser() / "checked")
    mean, std = normalisation(config.data, spec.mean, spec.std, channels)
    size = config.data.image_size or spec.input_size
    crop = config.data.crop_ratio or data.crop_ratio
    return data, Preprocessing(size, crop, mean, std, Decoding.of(config.data))


def _check_start(plan: Plan, pretrained: bool | str | Path) -> None:
    if pretrained is False and any(phase.frozen for phase in plan.phases):
        raise ConfigError(
            f"preset {plan.preset} freezes stages, but model.pretrained is false: they would stay random",
            hint="set model.pretrained, or use transfer.preset: scratch",
        )


def _objective(config: Config, data: DataBundle, network: StagedNetwork) -> Objective:
    """The task's objective; also sets the units of a regression network's targets."""
    scale = None
    if TASKS[config.task].predicts_numbers:
        mean, scale = data.target_statistics()
        network.set_target_statistics(mean, scale)
    train = config.train
    gamma = _FOCAL_GAMMA if train.focal_gamma is None else train.focal_gamma
    beta = _EFFECTIVE_BETA if train.effective_beta is None else train.effective_beta
    return make_objective(
        config.task,
        label_smoothing=train.label_smoothing,
        focal_gamma=gamma if train.loss == "focal" else 0.0,
        class_weights=class_weights(train.class_weights, beta, data),
        image_weights=None if config.data.sampling == "weighted" else data.train.weights,
        scale=scale,
        auxiliary_weights=lambda: network.auxiliary_weights,
    )


def _mixing(config: Config, data: DataBundle) -> Mixing | None:
    if not config.train.mixing:
        return None
    classes = len(data.classes) if TASKS[config.task].one_class_per_image else None
    return Mixing(config.train.mixup, config.train.cutmix, classes, config.seed)


def _origin(pretrained: bool | str | Path) -> str:
    return "random" if pretrained is False else "paddle" if pretrained is True else str(pretrained)


def _load_start(config: Config, plan: Plan, network: StagedNetwork) -> bool | str | Path:
    """Load the weights that the plan starts from, without a head; return where they come from, False for random ones.

    Raises:
        ConfigError: Frozen stages would stay random.
        WeightsError: The weights cannot be found, read or loaded.
    """
    start = _start_weights(config) if plan.pretrained else False
    _check_start(plan, start)
    path = resolve_weights(network.spec, start)
    if path is not None:
        load_weights(network, path, with_head=False)
    return start


def _start_weights(config: Config) -> bool | str | Path:
    """The source of the backbone's weights.

    Raises:
        ConfigError: A source task is not trained yet.
    """
    wanted = config.model.pretrained
    if not isinstance(wanted, SourceConfig):
        return wanted
    source = finished_source(config, wanted)
    if source is None:
        raise ConfigError(
            f"model.pretrained: the source task of {wanted.config} is not trained yet",
            hint="toolkit.engine.prepare_job(config) trains it first, as the command does",
        )
    return source.best
