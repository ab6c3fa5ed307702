"""Recognise files that are not weights: what they are, and which file to give instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.core.console import command
from toolkit.core.errors import WeightsError

_MOMENTS = ("_moment1_0", "_moment2_0", "_velocity_0", "_beta1_pow_acc_0", "_moment_0", "_mean_square_0")
"""Suffixes that Paddle's optimizers append to a parameter's name."""
_EMPTY_HEADER = 16
"""Bytes at the start of Paddle's binary tensors: version 0 (4 bytes), no levels of detail (8), version 0 (4)."""


def weights_of_run(run: Path) -> Path | None:
    """The best weights of a run, if they exist."""
    best = run / "checkpoints" / "best.pdparams"
    return best if best.is_file() else None


def refuse_resume_checkpoint(path: Path, metadata: Mapping[str, Any]) -> None:
    """Reject a checkpoint of a training.

    Raises:
        WeightsError: The file is such a checkpoint.
    """
    if not {"state", "digest"} <= metadata.keys():
        return
    run = path.absolute().parent.parent
    best = weights_of_run(run)
    resume = f"to resume its training: {command('train', '--resume', run)}"
    raise WeightsError(
        f"{path} is a checkpoint to resume a training from, with its optimizer's state, not a weights file",
        hint=f"give {best}, the run's best weights" if best else resume,
    )


def refuse_exported(path: Path, start: bytes) -> None:
    """Reject the parameters or the program of an exported model.

    Args:
        path: The file.
        start: Its first bytes.

    Raises:
        WeightsError: The file belongs to an exported model.
    """
    tensors = len(start) > _EMPTY_HEADER and not any(start[:_EMPTY_HEADER]) and any(start)
    if tensors or path.suffix in (".pdiparams", ".pdmodel"):
        best = weights_of_run(path.absolute().parent.parent)
        given = f"{best}, the run's best weights" if best else "the .pdparams file that the model was exported from"
        raise WeightsError(
            f"{path} belongs to an exported model, for inference: its arrays have no names, so it cannot be trained on",
            hint=f"give {given}",
        )


def refuse_optimizer(path: Path, content: Any) -> None:
    """Reject the state of an optimizer, as written by ``paddle.save(optimizer.state_dict(), path)``.

    Raises:
        WeightsError: The file is an optimizer's state.
    """
    names = [name for name in content if isinstance(name, str)] if isinstance(content, dict) else []
    if "LR_Scheduler" in names or any(name.endswith(_MOMENTS) for name in names) or path.suffix == ".pdopt":
        beside = path.with_suffix(".pdparams")
        what = str(beside) if beside != path and beside.is_file() else "the .pdparams file that was saved with it"
        raise WeightsError(f"{path} holds an optimizer's state, not weights", hint=f"give {what}")
