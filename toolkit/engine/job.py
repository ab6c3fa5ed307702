"""What a run works with: config, data, network and plan."""

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
