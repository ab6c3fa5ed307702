"""The inputs of a run: config, data, network and plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from toolkit.config import Config
from toolkit.core.runtime import rank, world_size
from toolkit.core.stages import StageInfo
from toolkit.data import Augmentation, BatchLoader, DataBundle, ImageCache, ImageSet, Preprocessing
from toolkit.data.sampling import Sampler, make_sampler
from toolkit.engine.learning.l2_sp import L2SP
from toolkit.engine.learning.mixup import Mixing, MixingLoader
from toolkit.engine.learning.objective import Objective
from toolkit.transfer import PhasePlan, Plan
from toolkit.zoo import StagedNetwork


@dataclass(frozen=True)
class Job:
    """A config with its data, network and plan.

    Attributes:
        config: The config.
        data: Images and labels.
        network: The network with its new head, and pretrained weights if the plan uses them.
        plan: What is frozen, and how fast the rest learns.
        stages: The network's stages at this input size, in order.
        preprocessing: Maps an image to the network's input.
        device: Paddle's name of the device.
        weights: Source of the backbone's weights.
        objective: Loss and metrics of the task.
        ancestry: The runs that led to these weights, oldest first (see ``ancestry_of``).
        image_cache: Decoded images kept in memory, if the config says so.
        mixing: How training images are mixed, if at all.
        l2_sp: Penalty that pulls the backbone's weights to the pretrained ones, if any.
        lr_search: How the learning rate was found, if ``train.lr`` was ``auto`` (see ``settle_rates``).
        advice: The advisor's advice, if ``transfer.preset`` was ``auto``.
        all_stages: Stages of the uncut network, for which a plan is resolved.
        own_plan: The config's plan from ``plan_of``.
        by_hand: A line on each manual change after the job was built.
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
    image_cache: ImageCache | None = None
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
        """Number of currently trainable weights of stages and head."""
        backbone = (self.network.stage_parameters(index) for index in range(len(self.stages)))
        weights = (weight for ps in (*backbone, self.network.head_parameters()) for weight in ps.values())
        return sum(prod(weight.shape) for weight in weights if not weight.stop_gradient)

    def in_phase(self, phase: PhasePlan) -> Job:
        """A copy of the job with the augmentation of one phase."""
        mixing = None if phase.augment == "none" else self.mixing
        return replace(self, plan=self.plan.with_augment(self.plan.augment_of(phase)), mixing=mixing)

    def augmentation(self) -> Augmentation | None:
        """The plan's training augmentation; None if there is none."""
        if self.plan.augment == "none":
            return None
        return self.data.augmentation(self.plan.augment, self.preprocessing)

    def loader(
        self, images: ImageSet, *, training: bool, shared: bool = False, sampler: Sampler | None = None
    ) -> BatchLoader:
        """Batches of images: shuffled and augmented for training, otherwise in order and centre-cropped.

        Args:
            images: The images to read.
            training: Whether the batches are for training.
            shared: Whether to load only this process's part, if several train together; all if too few to share.
            sampler: Chooses images and their order; by default all, for training as configured.
        """
        shared = shared and (training or len(images) >= world_size())
        size, processes = self.config.data.batch_size, world_size() if shared else 1
        global_batch_size = size * processes if self.config.train.processes == 1 else size
        return BatchLoader(
            images,
            self.preprocessing,
            batch_size=-(-global_batch_size // processes),
            augmentation=self.augmentation() if training else None,
            shuffle=training,
            sampler=make_sampler(self.config.data.sampling, images) if training and sampler is None else sampler,
            seed=self.config.seed,
            workers=self.config.data.workers,
            timeout=self.config.data.timeout,
            fast_decoding=self.config.data.fast_decoding,
            cache=self.image_cache,
            rank=rank() if shared else 0,
            world_size=processes,
            global_batch_size=global_batch_size,
        )

    def mixed(self, batches: BatchLoader) -> BatchLoader | MixingLoader:
        """Training batches, mixed if the config says so."""
        if self.mixing is None:
            return batches
        return MixingLoader(batches, self.mixing, self.objective.weights if self.objective.is_weighted else None)
