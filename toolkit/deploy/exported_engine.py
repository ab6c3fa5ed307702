"""Choose the engine of an exported model: the first one that runs it and agrees with the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import paddle

from toolkit.core.console import info
from toolkit.core.digest import fingerprint
from toolkit.core.errors import DeployError
from toolkit.deploy.activated import Activated
from toolkit.inference import (
    TITLES,
    TO_TRY,
    Comparison,
    Engine,
    TracedProgram,
    failure_of,
    save_program,
    structure_of,
    trusted_engine,
)

_FEW = 4


def noise(shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Return fixed noise instead of preprocessed images, float32 ``[4, *shape]``."""
    return np.random.default_rng(0).normal(size=(_FEW, *shape)).astype(np.float32)


def exported_program(whole: Activated, name: str, folder: Path, images: npt.NDArray[np.float32]) -> Comparison:
    """Prepare the comparison of a network with its export, on the first of the images for the check.

    Args:
        whole: The network with its activation.
        name: Name of the network.
        folder: Folder for the program, which is written once.
        images: Preprocessed images, float32 ``[M, C, S, S]``.
    """
    channels, height, width = images.shape[1:]
    shape, made = (channels, height, width), list[Path]()

    def make(engine: Engine) -> TracedProgram:
        if not made:
            made.extend(save_program(whole, folder, shape))
        return TracedProgram(engine, tuple(made))

    def digest() -> str:
        return hashlib.sha256(json.dumps(fingerprint(whole.state_dict())).encode()).hexdigest()[:32]

    structure = ["exported", shape, structure_of(whole)]
    rows = images[:_FEW] if len(images) else noise(shape)
    return Comparison(f"{name}, exported", whole, structure, digest, lambda: rows, make)


def choose_exported(
    comparison: Comparison,
    prepare: Callable[[Engine, str], None],
    difference: Callable[[], float],
    tolerance: float,
) -> float:
    """Find the first engine that can be trusted with an exported model, and report if it is not the usual one.

    Args:
        comparison: The model.
        prepare: Writes the model for an engine, with a note on why it is not the usual one.
        difference: Computes the largest difference between that model and the network.
        tolerance: Largest allowed difference.

    Returns:
        The difference; larger than ``tolerance`` if no engine agrees with the network.

    Raises:
        DeployError: No engine runs the model.
    """
    refused, found = list[str](), None
    for engine in _candidates(comparison):
        reason = failure_of(engine, comparison)
        if not reason:
            prepare(engine, _note(refused))
            found = difference()
            if found <= tolerance:
                break
            reason = f"is off by {found:.2g} in its outputs"
        refused.append(f"{TITLES[engine]} {reason}")
    else:
        if found is None:
            raise DeployError(f"{comparison.title}: no engine runs it; {'; '.join(refused)}")
        return found
    if refused:
        info(f"{comparison.title}: {'; '.join(refused)}; the model is for {TITLES[engine]}, as inference.yml says")
    return found


def _candidates(comparison: Comparison) -> tuple[Engine, ...]:
    engines = TO_TRY["paddle"]
    if paddle.get_device() == "cpu":
        return engines
    trusted = trusted_engine("paddle", comparison)  # the check runs on this GPU and does not cover CPUs
    return (trusted if trusted in engines else engines[-1],)


def _note(refused: list[str]) -> str:
    if not refused:
        return ""
    remedy = "turn oneDNN off: config.disable_onednn(), before Paddle 3.1 config.disable_mkldnn()"
    return f"{'; '.join(refused)} (Paddle {paddle.__version__}); {remedy}"
