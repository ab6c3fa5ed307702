"""From a config to everything that a run needs: data, network, plan."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from toolkit.config import Config, SourceConfig, load_config, with_overrides
from toolkit.core.console import info
from toolkit.core.errors import ConfigError, Interrupted, NetworkError
from toolkit.core.runtime import rank, seed_everything, select_device, world_size
from toolkit.core.stages import StageInfo
from toolkit.data import (
    Augmentation,
    BatchLoader,
    DataBundle,
    ImageCache,
    ImageSet,
    Preprocessing,
    build_data,
    normalisation,
)
from toolkit.data.bit_depth import Decoding
from toolkit.data.sampling import Sampler, make_sampler
from toolkit.engine.learning.class_weights import class_weights
from toolkit.engine.learning.l2_sp import L2SP
from toolkit.engine.learning.mixup import Mixing, MixingLoader
from toolkit.engine.learning.objective import Objective, make_objective
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.lineage import ancestry_of
from toolkit.transfer import DenseHead, PhasePlan, Plan, resolve_plan
from toolkit.zoo import NetworkSpec, StagedNetwork, create_network, get_spec, load_weights
from toolkit.zoo.head import LinearHead

_RGB = 3
_FOCAL_GAMMA = 2.0  # Lin et al. (arXiv 1708.02002) found it best
_EFFECTIVE_BETA = 0.999  # in the middle of what Cui et al. (arXiv 1901.05555) tried


@dataclass(frozen=True)
class Job:
    """A config made real.

    Attributes:
        config: What was asked for.
        data: Images and labels.
        network: The network with its new head, and pretrained weights where the plan wants them.
        plan: What is frozen, and how fast the rest learns.
        stages: The network's stages at this input size, in order.
        preprocessing: From an image to the network's input.
        device: Paddle's name of the device.
        weights: Where the backbone's weights came from.
        objective: Loss and metrics of the task.
        ancestry: The runs that led to these weights, the oldest first (see ``ancestry_of``).
        pictures: Decoded images, kept in memory where the config says so.
        mixing: How training images are mixed, where they are.
        l2_sp: What pulls the backbone's weights to the pretrained ones, where something does.
        lr_search: How the learning rate was found, where ``train.lr`` was ``auto`` (see ``settle_rates``).
        advice: What the advisor said, where ``transfer.preset`` was ``auto``.
        all_stages: Those of the uncut network, for which a plan is resolved.
        own_plan: The plan of the config, by ``plan_of``.
        by_hand: A line on each thing that was changed by hand after the job was built.
    """

    config: Config
    data: DataBundle
    network: StagedNetwork
    plan: Plan
    stages: tuple[StageInfo, ...]
    preprocessing: Preprocessing
    device: str
    weights: str
    objective: Objective
    ancestry: tuple[dict[str, Any], ...] = ()
    pictures: ImageCache | None = None
    mixing: Mixing | None = None
    l2_sp: L2SP | None = None
    lr_search: Mapping[str, Any] | None = None
    advice: Mapping[str, Any] | None = None
    all_stages: tuple[StageInfo, ...] = ()
    own_plan: Plan | None = None
    by_hand: tuple[str, ...] = ()

    @property
    def head_parameters(self) -> int:
        """Number of weights of the head."""
        return sum(prod(parameter.shape) for parameter in self.network.head_parameters().values())

    @property
    def trainable_parameters(self) -> int:
        """Number of weights of stages and head that move now."""
        backbone = (self.network.stage_parameters(index) for index in range(len(self.stages)))
        weights = (weight for each in (*backbone, self.network.head_parameters()) for weight in each.values())
        return sum(prod(weight.shape) for weight in weights if not weight.stop_gradient)

    def in_phase(self, phase: PhasePlan) -> Job:
        """The same job with the augmentation of one phase."""
        mixing = None if phase.augment == "none" else self.mixing
        return replace(self, plan=self.plan.with_augment(self.plan.augment_of(phase)), mixing=mixing)

    def augmentation(self) -> Augmentation | None:
        """The plan's training augmentation; None when there is none."""
        if self.plan.augment == "none":
            return None
        return self.data.augmentation(self.plan.augment, self.preprocessing)

    def loader(
        self, images: ImageSet, *, training: bool, shared: bool = False, sampler: Sampler | None = None
    ) -> BatchLoader:
        """Batches of images: shuffled and augmented for training, in order and cropped in the centre otherwise.

        Args:
            images: What to read.
            training: For training.
            shared: This process's part of them, where several train together; all, where there are too few to share.
            sampler: Which of them, and in which order; by default all, for training as the config says.
        """
        shared = shared and (training or len(images) >= world_size())
        size, processes = self.config.data.batch_size, world_size() if shared else 1
        together = size * processes if self.config.train.processes == 1 else size
        return BatchLoader(
            images,
            self.preprocessing,
            batch_size=-(-together // processes),
            augmentation=self.augmentation() if training else None,
            shuffle=training,
            sampler=make_sampler(self.config.data.sampling, images) if training and sampler is None else sampler,
            seed=self.config.seed,
            workers=self.config.data.workers,
            timeout=self.config.data.timeout,
            fast_decoding=self.config.data.fast_decoding,
            cache=self.pictures,
            rank=rank() if shared else 0,
            world_size=processes,
            together=together,
        )

    def mixed(self, batches: BatchLoader) -> BatchLoader | MixingLoader:
        """Training batches as the config wants them mixed; the same where it does not."""
        if self.mixing is None:
            return batches
        return MixingLoader(batches, self.mixing, self.objective.weights if self.objective.is_weighted else None)


def build_job(config: Config, weights: Path | None = None) -> Job:
    """Read the data, build the network, resolve the plan; nothing is written.

    Args:
        config: What is asked for.
        weights: A trained network's weights, head included, to use in place of ``model.pretrained``.

    Raises:
        ToolkitError: Anything in the config that does not fit the data, the network or the machine.
    """
    device = select_device(config.train.device)
    spec = get_spec(config.model.name)
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
    stages = tuple(new().describe(preprocessing.image_size))
    plan = plan_of(config, stages)  # whatever is wrong with it is said before weights are read
    pretrained = _pretrained(config) if plan.pretrained and weights is None else False
    if weights is None:
        _check_start(plan, pretrained)
    seed_everything(config.seed)
    network = new(pretrained=pretrained, head=config.model.head, cut=plan.cut)
    plan = plan_of(config, stages, dense_head(network))
    network.keep_statistics(plan.batch_norm == "frozen")
    objective = _objective(config, data, network)
    if weights is not None:
        load_weights(network, weights)
    network.set_frozen(plan.phases[0].frozen)  # so that what is frozen or not by hand from here on can be seen
    return Job(
        config,
        data,
        network,
        plan,
        stages[: plan.cut],
        preprocessing,
        device,
        _origin(weights or pretrained),
        objective,
        ancestry_of(weights or pretrained),
        ImageCache() if config.data.cache_images == "memory" else None,
        _mixing(config, data),
        L2SP(network, config.train.l2_sp) if config.train.l2_sp and weights is None else None,
        all_stages=stages,
        own_plan=plan,
    )


def plan_of(config: Config, stages: Sequence[StageInfo], head: DenseHead | None = None) -> Plan:
    """The plan that a config asks for; arguments as for ``resolve_plan``."""
    random = config.model.pretrained is False
    plan = resolve_plan(config.transfer, config.train, stages, config.task, head, pretrained=not random)
    return plan if config.data.augment == "auto" else plan.with_augment(config.data.augment)


def dense_head(network: StagedNetwork) -> DenseHead | None:
    """The head, where it is one dense layer that standardises its features."""
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
            f"preset {plan.title} freezes stages, but model.pretrained is false: they would stay random",
            hint="set model.pretrained, or use transfer.preset: scratch",
        )


def _objective(config: Config, data: DataBundle, network: StagedNetwork) -> Objective:
    """The task's objective; a regression's network is told the units of its targets."""
    scale = None
    if config.task == "regression":
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
    classes = len(data.classes) if config.task == "classification" else None
    return Mixing(config.train.mixup, config.train.cutmix, classes, config.seed)


def _origin(pretrained: bool | str | Path) -> str:
    return "random" if pretrained is False else "paddle" if pretrained is True else str(pretrained)


def _pretrained(config: Config) -> bool | str | Path:
    """The weights to start from; a source task is trained first when its run is not there."""
    wanted = config.model.pretrained
    if not isinstance(wanted, SourceConfig):
        return wanted
    return source_run(config, wanted).best


def source_run(config: Config, wanted: SourceConfig) -> RunFolder:
    """The finished run of a source config in the same ``output_dir``; trained now when it is not there.

    Raises:
        ToolkitError: The source uses another network, or cannot be trained.
    """
    source = with_overrides(load_config(wanted.config), output_dir=config.output_dir)
    if source.model.name != config.model.name:
        raise NetworkError(
            f"{wanted.config} trains {source.model.name}, but model.name is {config.model.name}",
            hint="use the same network in both configs",
        )
    for path in sorted(config.output_dir.expanduser().glob(f"{glob.escape(source.name)}*/config.yaml")):
        folder = RunFolder(path.parent)
        with folder.passed_over():
            if folder.read_record().get("finished") and not folder.differences(source):
                info(f"source task {source.name}: {folder.path} is there")
                return folder
    from toolkit.engine.trainer import Trainer  # the source is a job like any other

    info(f"source task {source.name}: not trained yet, training it first ({wanted.config.name})")
    try:
        return Trainer.from_config(source).fit().folder
    except Interrupted as stop:
        raise Interrupted(
            f"source task {source.name}: {stop.message}", hint=f"{stop.hint}; then run this job again"
        ) from None
