"""Which engine an exported model is for: the first that runs it and gives what the network gives."""

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
    """Stand-ins for preprocessed images where an export has none, float32 ``[4, *shape]``, fixed."""
    return np.random.default_rng(0).normal(size=(_FEW, *shape)).astype(np.float32)


def exported_program(whole: Activated, name: str, folder: Path, images: npt.NDArray[np.float32]) -> Comparison:
    """A network with its activation as it is exported, on the first of the images that it is checked with.

    Args:
        whole: What is exported.
        name: The network's name.
        folder: Where the program is written, once.
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
    """Find the first engine that can be trusted with an exported model; one line says where it is not the usual one.

    Args:
        comparison: The model.
        prepare: Describes the model for an engine, with a note on why it is not the usual one.
        difference: Largest difference of the model so described to the network.
        tolerance: Largest one that is allowed.

    Returns:
        The difference; larger than ``tolerance`` where no engine gives what the network gives.

    Raises:
        DeployError: No engine runs it.
    """
    refused, found = list[str](), None
    for engine in _candidates(comparison):
        reason = failure_of(engine, comparison)
        if not reason:
            prepare(engine, _note(refused))
            found = difference()
            if found <= tolerance:
                break
            reason = f"is off by {found:.2g} in what it gives"
        refused.append(f"{TITLES[engine]} {reason}")
    else:
        if found is None:
            raise DeployError(f"{comparison.title}: nothing runs it; {'; '.join(refused)}")
        return found
    if refused:
        info(f"{comparison.title}: {'; '.join(refused)}; the model is for {TITLES[engine]}, as inference.yml says")
    return found


def _candidates(comparison: Comparison) -> tuple[Engine, ...]:
    engines = TO_TRY["paddle"]
    if paddle.get_device() == "cpu":
        return engines
    trusted = trusted_engine("paddle", comparison)  # the check runs on this GPU, and says nothing of CPUs
    return (trusted if trusted in engines else engines[-1],)


def _note(refused: list[str]) -> str:
    if not refused:
        return ""
    cure = "turn oneDNN off: config.disable_onednn(), before Paddle 3.1 config.disable_mkldnn()"
    return f"{'; '.join(refused)} (Paddle {paddle.__version__}); {cure}"
