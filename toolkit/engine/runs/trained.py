"""The best epoch of a run as trained, independent of the current config and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.config import Config, load_config
from toolkit.core.errors import TrainingError
from toolkit.core.runtime import select_device
from toolkit.data import BatchLoader, ImageSet, Preprocessing
from toolkit.engine.evaluate import evaluation_views, outputs_of_views
from toolkit.engine.learning.objective import Objective, make_objective
from toolkit.engine.runs.checkpoints import best_is_intact
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.model_facts import ModelFacts, stored_facts
from toolkit.zoo import StagedNetwork, create_network, load_weights


@dataclass(frozen=True)
class TrainedRun:
    """A run's network with the weights of its best epoch, and everything needed to use it.

    Attributes:
        folder: The run's folder.
        config: The run's own config.
        facts: Task, classes and preprocessing used in training.
        network: The network in evaluation mode.
        objective: Metrics of the task.
    """

    folder: RunFolder
    config: Config
    facts: ModelFacts
    network: StagedNetwork
    objective: Objective

    def evaluate(self, images: ImageSet, tta: int = 1) -> dict[str, float]:
        """The task's metrics on labelled images.

        Args:
            images: Labelled images; labels are indices of the run's classes, or rows of its labels or targets.
            tta: Number of views per image whose outputs are averaged, >= 1.
        """
        views = evaluation_views(self.facts.preprocessing, self.facts.flip, tta)
        batches = [self.batches(images, view) for view in views]
        outputs = outputs_of_views(self.network, self.objective, batches, self.config.train)
        return self.objective.metrics(outputs, images.labels)

    def batches(self, images: ImageSet, view: Preprocessing, **options: Any) -> BatchLoader:
        """Batches of images in their order.

        Args:
            images: Images with the run's number of channels.
            view: The run's preprocessing, or a view of it.
            options: ``change`` and ``cache`` of ``BatchLoader``.
        """
        data = self.config.data
        return BatchLoader(
            images, view, batch_size=data.batch_size, workers=data.workers, timeout=data.timeout, **options
        )


def load_trained(folder: RunFolder, device: str | None = None, workers: int | None = None) -> TrainedRun:
    """Rebuild a run's network from its records, and load the weights of its best epoch.

    Args:
        folder: The run's folder.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:k``; by default the one in the run's config.
        workers: Threads that read images; by default as the run's config says.

    Raises:
        TrainingError: No epoch is complete yet, the weights are damaged, or the run does not list its classes.
        ToolkitError: The network cannot be built.
    """
    if not folder.best.is_file():
        begun = folder.has_checkpoint
        raise TrainingError(
            f"{folder.path} has no checkpoints/best.pdparams",
            hint=f"no epoch is complete yet; resume with: {folder.resume_command}" if begun else "train first",
        )
    if not best_is_intact(folder):
        raise TrainingError(
            f"{folder.best} is damaged: it is not the file that the training wrote",
            hint="restore it from a copy, or train again",
        )
    config, facts = load_config(folder.config), stored_facts(folder)
    if workers is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"workers": workers})})
    select_device(device or config.train.device)
    network = create_network(
        config.model.name,
        len(facts.classes),
        head=config.model.head.reading(facts.head_stages),
        cut=facts.cut,
        image_size=facts.preprocessing.image_size,
        in_channels=config.model.in_channels,
        pooling=config.model.pooling,
        task=facts.task,
    )
    load_weights(network, folder.best)
    network.eval()
    return TrainedRun(folder, config, facts, network, make_objective(facts.task, scale=_target_scale(network)))


def _target_scale(network: StagedNetwork) -> NDArray[np.float32] | None:
    """Standard deviations of a regression's training targets, from the head; None for other tasks."""
    scales = [value.numpy() for key, value in network.state_dict().items() if key.endswith("target_std")]
    return scales[0] if scales else None
