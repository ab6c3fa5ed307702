"""Export what a job has trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.deploy.export import export_model
from toolkit.engine import Job
from toolkit.engine.signals import undisturbed

__all__ = ["export_job"]

_CHECKED_IMAGES = 64
"""Evaluation images on which an export must agree with the trained network."""


def export_job(job: Job, folder: Path) -> Path:
    """Export a job's network as it is, and check the export on evaluation images.

    Args:
        job: With trained weights.
        folder: Where to write.

    Returns:
        The folder.

    Raises:
        DeployError: The exported model's outputs differ from the network's by more than 1e-4; see ``export_model``.
        KeyboardInterrupt: Ctrl-C or SIGTERM came meanwhile; the export is complete.
    """
    with undisturbed():
        return export_model(
            job.network,
            folder,
            classes=job.data.classes,
            preprocessing=job.preprocessing.to_dict(),
            network_name=job.network.spec.name,
            image_size=job.preprocessing.image_size,
            task=job.data.task,
            flip=job.data.flip,
            tta=job.config.train.tta,
            check=_some_images(job),
        )


def _some_images(job: Job) -> np.ndarray:
    """Up to 64 evaluation images, spread over the classes, as the network's input."""
    images = job.data.evaluation[1]
    rows = np.linspace(0, len(images) - 1, min(_CHECKED_IMAGES, len(images))).astype(int)
    return np.stack([job.preprocessing.apply(images.read(int(row))) for row in rows])
