"""Predict with an exported model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import paddle

from toolkit.core.console import command
from toolkit.core.errors import DeployError
from toolkit.core.runtime import cpu_settings, select_device
from toolkit.deploy.image_predictor import ImagePredictor
from toolkit.deploy.manifest import MANIFEST_NAME, Manifest
from toolkit.engine import RunFolder, RunResult
from toolkit.inference import InferenceSession
from toolkit.tasks import TASKS


class Predictor(ImagePredictor):
    """An exported model in Paddle Inference, with oneDNN on a CPU if the model supports it; needs only its folder.

    It is thread-safe: images are read in parallel, and the network runs one batch at a time. For more throughput, use
    one predictor per thread or process.

    Args:
        folder: The folder of a run, the result of ``Trainer.fit``, or the folder written by ``export_model``.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:k``.
        threads: CPU threads for the network; by default the toolkit's setting (``OMP_NUM_THREADS``).

    Attributes:
        classes: Names of the classes, labels or targets; position i is output i.
        preprocessing: Preprocessing for the model's input.
        task: The model's task.
        manifest: The contents of ``inference.yml``.

    Raises:
        DeployError: The folder is not an exported model, belongs to a run without one, is damaged, or was written by a
            newer Paddle.
        DeviceError: The device is not available.

    Example:
        >>> predictor = Predictor("runs/birds")  # doctest: +SKIP
        >>> predictor.predict(["photo.jpg"], topk=3)[0].label  # doctest: +SKIP
        ['Sayornis', 'Pewee', 'Flycatcher']
    """

    def __init__(
        self, folder: str | Path | RunFolder | RunResult, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self.folder = _exported(folder)
        self.manifest = Manifest.read(self.folder)
        facts = self.manifest
        super().__init__(facts.labels, facts.pipeline(self.folder), facts.task, facts.flip, facts.tta)
        model, params = (file.check(self.folder) for file in (self.manifest.model, self.manifest.params))
        if model.suffix == ".json" and int(paddle.__version__.partition(".")[0] or 0) == 2:
            raise DeployError(
                f"{self.folder} was exported by Paddle {self.manifest.versions.get('paddle')}, "
                f"which Paddle {paddle.__version__} cannot read",
                hint="install Paddle 3, or export again with the installed version",
            )
        if threads is None:
            threads = int(cpu_settings().threads)
        if threads < 1:
            raise DeployError(f"threads must be at least 1, not {threads}")
        self._session = InferenceSession(
            model, params, device=select_device(device), threads=threads, onednn=facts.onednn
        )

    def outputs(self, images: npt.NDArray[np.float32], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Compute the outputs for preprocessed images; see ``ImagePredictor.outputs``."""
        self._check_images(images)
        batches = [self._session.run(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
        result = np.concatenate(batches)
        if result.shape[1] != len(self.classes):
            names = f"{len(self.classes)} {TASKS[self.task].outputs} names"
            raise DeployError(f"{self.folder}: the model has {result.shape[1]} outputs for {names}")
        return result


def _exported(given: str | Path | RunFolder | RunResult) -> Path:
    """Return the folder of the exported model.

    Raises:
        DeployError: A run has no exported model.
    """
    if isinstance(given, RunResult):
        given = given.inference or given.folder
    path = given.path if isinstance(given, RunFolder) else Path(given).expanduser()
    run = RunFolder(path)
    if (path / MANIFEST_NAME).is_file() or not run.config.is_file():
        return path
    if (run.inference / MANIFEST_NAME).is_file():
        return run.inference
    export = f"export it: {command('export', run.path)}"
    raise DeployError(
        f"{path} is a run that has no exported model yet",
        hint=export if run.best.is_file() else f"finish its training: {run.resume_command}",
    )
