"""Export the network of a job or of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info
from toolkit.core.errors import DataError
from toolkit.data import Preprocessing, read_image
from toolkit.data.pool import read_one
from toolkit.deploy.export import export_model
from toolkit.engine import Job
from toolkit.engine.runs.model_facts import ModelFacts
from toolkit.engine.runs.record import model_facts
from toolkit.engine.runs.trained import TrainedRun
from toolkit.engine.signals import undisturbed
from toolkit.zoo import StagedNetwork

_CHECKED_IMAGES = 64
"""Number of evaluation images on which an export must agree with the trained network."""
_MADE_UP = 8
"""Number of random images to use if there are no others."""


def export_job(job: Job, folder: Path) -> Path:
    """Export a job's network in its current state, and check the export on evaluation images.

    Args:
        job: The job with trained weights.
        folder: Output folder.

    Returns:
        The folder.

    Raises:
        DeployError: The exported model's outputs differ from the network's by more than 1e-4; see ``export_model``.
        KeyboardInterrupt: Ctrl-C or SIGTERM was received meanwhile; the export is complete.
    """
    images = job.data.evaluation[1]
    rows = np.linspace(0, len(images) - 1, min(_CHECKED_IMAGES, len(images))).astype(int)
    wait = job.config.data.timeout
    read = [read_one(partial(images.read, int(row)), images.path(int(row)), wait) for row in rows]
    check = np.stack([job.preprocessing.apply(pixels) for pixels in read])
    return _export(job.network, model_facts(job), folder, check, job.config.train.tta)


def export_run(run: TrainedRun, folder: Path, tta: int | None = None) -> Path:
    """Export the best epoch of a run with its classes and preprocessing.

    The export is checked on images that the run was evaluated on. If these no longer exist, random images are used and
    a message says so, because an export does not need data.

    Args:
        run: The run.
        folder: Output folder.
        tta: Default number of views per image that predictors average; by default as in the run's config.

    Returns:
        The folder.

    Raises:
        DeployError: As for ``export_job``.
        KeyboardInterrupt: As for ``export_job``.
    """
    examples = (run.folder.read_record().get("data") or {}).get("examples") or []
    check = _examples(examples, run.facts.preprocessing, run.config.data.timeout)
    return _export(run.network, run.facts, folder, check, run.config.train.tta if tta is None else tta)


def _export(network: StagedNetwork, facts: ModelFacts, folder: Path, check: NDArray[np.float32], tta: int) -> Path:
    with undisturbed():
        return export_model(
            network,
            folder,
            classes=facts.classes,
            preprocessing=facts.preprocessing.to_dict(),
            network_name=network.spec.name,
            image_size=facts.preprocessing.image_size,
            task=facts.task,
            flip=facts.flip,
            tta=tta,
            check=check,
        )


def _readable(path: str, preprocessing: Preprocessing) -> NDArray[np.float32] | None:
    try:
        return preprocessing.apply(read_image(path, preprocessing.channels, preprocessing.decoding))
    except (DataError, ValueError):
        return None


def _examples(paths: Sequence[Any], preprocessing: Preprocessing, timeout: float) -> NDArray[np.float32]:
    """Return the network's input for the image files that can be read, or else for random images."""
    found = []
    for path in paths:
        pixels = read_one(partial(_readable, str(path), preprocessing), str(path), timeout)
        if pixels is not None:
            found.append(pixels)
    if found:
        return np.stack(found)
    side, channels = preprocessing.image_size, preprocessing.channels
    info(f"none of the run's evaluation images exists any longer: checking the export on {_MADE_UP} random images")
    pixels = np.random.default_rng(0).integers(0, 256, (_MADE_UP, side, side, channels), np.uint8)
    return np.stack([preprocessing.apply(image) for image in pixels])
