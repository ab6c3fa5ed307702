"""Export a trained network as a folder that can be served, and verify that it computes the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle.nn import Layer

import toolkit
from toolkit.core.errors import DeployError
from toolkit.core.evaluation import evaluating
from toolkit.core.files import atomic_folder, clear_os_errors
from toolkit.data.augmentation import Flip
from toolkit.deploy.activated import Activated
from toolkit.deploy.exported_engine import choose_exported, exported_program, noise
from toolkit.deploy.manifest import MANIFEST_NAME, Manifest, ModelFile
from toolkit.deploy.predictor import Predictor
from toolkit.inference import Engine, InferenceSession, unwrapped
from toolkit.tasks import TASKS, Output, TaskName

_OWN = "inference."
_BATCH = 8
_MARGIN = 1 << 20  # bytes, for the program and inference.yml


def export_model(
    network: Layer,
    folder: str | Path,
    *,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    network_name: str,
    image_size: int,
    extra: Mapping[str, Any] | None = None,
    check: npt.NDArray[np.float32] | None = None,
    tolerance: float = 1e-4,
    task: TaskName = "classification",
    flip: Flip = "none",
    tta: int = 1,
) -> Path:
    """Write an inference folder with program, weights and ``inference.yml``, for any batch size.

    The program ends with the task's activation: softmax, sigmoid, or nothing.

    The folder is replaced atomically: an older model of this name stays until the new one is complete, has run once and
    has passed ``check``. If Paddle Inference with oneDNN crashes on the model or computes something else than the
    network, ``inference.yml`` requires oneDNN to be off, and a message says so. Other files in the folder are kept. The
    network is not changed.

    Args:
        network: Maps images ``[N, C, image_size, image_size]`` to outputs before the activation ``[N, len(classes)]``;
            C is the number of means in ``preprocessing``.
        folder: Output folder.
        classes: Names of the classes, labels or targets, in the order of the outputs.
        preprocessing: The result of ``toolkit.data.Preprocessing.to_dict()``.
        network_name: Name of the network in the zoo.
        image_size: Side of the square input, pixels.
        extra: More facts for ``inference.yml`` (plain values), such as the run's name and its metrics.
        check: Preprocessed images, float32 ``[M, C, image_size, image_size]``; see ``check_export``. The result is
            recorded in the manifest as ``extra.checked_images`` and ``extra.largest_difference``.
        tolerance: Largest allowed difference on ``check``, in probability or as a fraction of a target's scale.
        task: What the outputs are.
        flip: Mirroring that does not change the meaning of an image, for test-time augmentation.
        tta: Default number of views per image that predictors average.

    Returns:
        The folder.

    Raises:
        DeployError: The folder holds something else, the network cannot be exported or has the wrong number of outputs,
            or the exported model computes something else.
        ToolkitError: The disk is full, or the folder may not be written.

    Example:
        >>> export_model(network, "model", classes=("cat", "dog"), preprocessing=Preprocessing(224).to_dict(),
        ...              network_name="resnet18", image_size=224)  # doctest: +SKIP
    """
    target = Path(folder).resolve()
    _refuse_foreign(target)
    with clear_os_errors(f"the exported model {target}"), atomic_folder(target) as temporary:
        _need_space(network, temporary)
        _carry_over(target, temporary)
        images = noise((len(preprocessing["mean"]), image_size, image_size)) if check is None else check
        whole = Activated(unwrapped(network), TASKS[task].activation)
        program = exported_program(whole, network_name, temporary, images)
        program.make("paddle")
        facts = dict(extra or {})

        def prepare(engine: Engine, note: str) -> None:
            model, params = program.make(engine).files
            session = InferenceSession(model, params, optimize=False, onednn=engine == "paddle")
            manifest = replace(
                _manifest(session, params, network_name, image_size, classes, preprocessing, facts, task, flip, tta),
                onednn=engine == "paddle",
                onednn_note=note,
            )
            _try_out(session, manifest)
            manifest.write(temporary)
            manifest.pipeline(temporary)

        difference = choose_exported(program, prepare, lambda: _difference(temporary, network, images), tolerance)
        if check is not None or np.isfinite(difference):  # on noise, outputs may not be finite
            _refuse_different(len(images), task, difference, tolerance)
        if check is not None:
            facts |= {"checked_images": len(check), "largest_difference": difference}
            replace(Manifest.read(temporary), extra=facts).write(temporary)
    return Path(folder)


def _manifest(
    session: InferenceSession,
    params: Path,
    network_name: str,
    image_size: int,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    extra: Mapping[str, Any],
    task: TaskName,
    flip: Flip,
    tta: int,
) -> Manifest:
    """Make the manifest from a program, its weights, and the arguments of ``export_model``."""
    return Manifest(
        network=network_name,
        image_size=image_size,
        labels=tuple(str(name) for name in classes),
        preprocessing=dict(preprocessing),
        model=ModelFile.of(session.model),
        params=ModelFile.of(params),
        input_name=session.input_name,
        output_name=session.output_name,
        versions={"toolkit": toolkit.__version__, "paddle": paddle.__version__},
        extra=dict(extra),
        task=task,
        flip=flip,
        tta=tta,
    )


def check_export(folder: str | Path, network: Layer, images: npt.NDArray[np.float32], tolerance: float = 1e-4) -> float:
    """Compare the outputs of an exported model with those of the network.

    Probabilities are compared directly. Regression values are compared relative to their target's scale: the standard
    deviation by which the head multiplies (``target_std``), but at least a hundredth of the largest value, because of
    the precision of float32; without such a head, the largest value itself.

    Args:
        folder: The inference folder.
        network: The exported network; its training modes are restored.
        images: Preprocessed images, float32 ``[M, C, S, S]``, M at least 1.
        tolerance: Largest allowed difference.

    Returns:
        The largest difference.

    Raises:
        DeployError: The difference is larger than ``tolerance``, or NaN.
    """
    difference = _difference(folder, network, images)
    _refuse_different(len(images), Manifest.read(Path(folder)).task, difference, tolerance)
    return difference


def _difference(folder: str | Path, network: Layer, images: npt.NDArray[np.float32]) -> float:
    if len(images) == 0:
        raise DeployError("an export cannot be checked without images")
    predictor = Predictor(folder, device=paddle.get_device())
    exported, trained = predictor.outputs(images), _outputs(unwrapped(network), predictor.task, images)
    if trained.shape != exported.shape:
        raise DeployError(f"the exported model has outputs {exported.shape}, but the network {trained.shape}")
    return float((np.abs(trained - exported) / _CHECKS[TASKS[predictor.task].outputs].scale(network, trained)).max())


def _refuse_different(images: int, task: TaskName, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:  # NaN must fail
        raise DeployError(
            f"the exported model is not the trained network: on {images} images {_CHECKS[TASKS[task].outputs].what} by "
            f"{difference:.3g}, more than {tolerance:g}",
            hint="look for NaN weights or layers that behave differently in a static graph; nothing was replaced",
        )


def _outputs(network: Layer, task: TaskName, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compute the network's outputs in dygraph mode, with the task's activation."""
    with evaluating(network):
        whole = Activated(network, TASKS[task].activation)
        batches = [whole(paddle.to_tensor(images[i : i + _BATCH])).numpy() for i in range(0, len(images), _BATCH)]
    return np.concatenate(batches)


def _target_scale(network: Layer, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    largest = np.abs(values).max(axis=0).astype(np.float64)
    learned = [value.numpy() for key, value in network.state_dict().items() if key.endswith(".target_std")]
    scale = np.maximum(learned[0], largest / 100) if learned else largest
    return np.where(scale > 0, scale, 1.0)


@dataclass(frozen=True)
class _Check:
    """How to compare an export with its network: the unit of differences, and the wording of the message."""

    scale: Callable[[Layer, npt.NDArray[np.float32]], npt.NDArray[np.float64]]
    what: str


_PROBABILITIES = _Check(lambda _network, _values: np.ones(1), "probabilities differ")
_CHECKS: Mapping[Output, _Check] = MappingProxyType(
    {
        "class": _PROBABILITIES,
        "label": _PROBABILITIES,
        "target": _Check(_target_scale, "values, relative to their target's scale, differ"),
    }
)


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise DeployError(f"cannot export to {target}: it is a file", hint="choose a folder")
    if any(target.iterdir()) and not (target / MANIFEST_NAME).is_file():
        raise DeployError(
            f"cannot export to {target}: the folder holds something other than an exported model",
            hint="choose a new or empty folder",
        )


def _need_space(network: Layer, folder: Path) -> None:
    """Check the free space, because Paddle 3 silently truncates files on a full disk."""
    need = _MARGIN + sum(value.numel().item() * value.element_size() for value in network.state_dict().values())
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DeployError(
            f"cannot export to {folder.parent}: {need >> 20} MB are needed but only {free >> 20} MB are free",
            hint="free some space on the disk, or choose another folder",
        )


def _carry_over(old: Path, new: Path) -> None:
    """Keep files that a user has put next to the model."""
    if not old.is_dir():
        return
    for item in old.iterdir():
        if item.name.startswith(_OWN):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.copytree(item, new / item.name, symlinks=True)
        else:
            shutil.copy2(item, new / item.name, follow_symlinks=False)


def _try_out(session: InferenceSession, manifest: Manifest) -> None:
    side, expected = manifest.image_size, (2, len(manifest.labels))
    kind = TASKS[manifest.task].outputs
    shape = session.run(np.zeros((2, manifest.channels, side, side), np.float32)).shape
    if shape != expected:
        raise DeployError(
            f"{manifest.network} gives {shape} for 2 images, but there are {len(manifest.labels)} {kind} names",
            hint="export with the names used in training",
        )
