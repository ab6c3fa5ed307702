"""Training on the embedded digits in a separate process, and the faults injected into it."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.config import Config, make_config
from toolkit.core.errors import ToolkitError

__all__ = ["Fault", "config_for", "fill_up", "fit", "flip", "forked", "in_process", "strike", "wait"]

_FILE_OPERATIONS = ("fsync", "replace", "link", "unlink")
_NO_SPACE_EXIT = 1


@dataclass(frozen=True)
class Fault:
    """One disturbed run.

    Attributes:
        kind: ``kill``, ``kill in a save``, ``SIGTERM``, ``full disk`` or ``flipped byte``.
        seed: Determines when and where it strikes.
    """

    kind: str
    seed: int


def config_for(output: Path, name: str = "job") -> Config:
    """A job with everything that has state: augmentation, dropout, momentum, averages, plateau, two phases."""
    return make_config(
        {
            "name": name,
            "output_dir": str(output),
            "model": {"name": "squeezenet1_1", "pretrained": False, "head": {"type": "mlp", "dropout": 0.3}},
            "data": {
                "format": "digits",
                "classes": ["1", "4", "7"],
                "samples_per_class": 10,
                "image_size": 35,
                "batch_size": 8,
                "val_fraction": 0.05,
                "workers": 1,
                "augment": "standard",
            },
            "transfer": {
                "preset": "custom",
                "phases": [{"epochs": 1, "freeze": 0, "lr": 0.003}, {"epochs": 2, "freeze": 0, "lr": 0.001}],
            },
            "train": {"optimizer": "adamw", "device": "cpu", "resume": "auto"},
            "callbacks": {
                "weight_averaging": {"kind": "ema", "decay": 0.9},
                "reduce_on_plateau": {"patience": 1, "min_delta": 1.0},
            },
            "log": {"visualdl": True, "sample_images": 0},
            "export": {"enabled": False, "report": False},
            "cache": {"enabled": False},
        }
    )


def fit(config: Config) -> None:
    """Train, resuming if the run has begun."""
    from toolkit.engine import Trainer

    Trainer.from_config(config).fit()


def forked(work: Callable[[], Any], log: Path | None) -> int:
    """Run some work in a forked process, with the exit codes of a tool."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if log is not None:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the tools do; Paddle's own prints a crash
            work()
            code = 0
        except KeyboardInterrupt:
            code = 130
        except ToolkitError as error:
            os.write(2, f"error: {error}\n".encode())
            code = error.exit_code
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode())
            code = 70
    finally:
        os._exit(code)


def wait(process: int) -> int:
    """Exit code; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def in_process(work: Callable[[], Any], log: Path | None = None) -> Callable[[], Any]:
    """Run work in a fork of this process, which must not use Paddle itself; call the result to wait for the answer."""
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as file:
            pickle.dump(work(), file)

    process = forked(send, log)
    os.close(writer)

    def answer() -> Any:
        with os.fdopen(reader, "rb") as file:
            data = file.read()
        if wait(process):
            raise RuntimeError(log.read_text(errors="replace") if log else "a process of the campaign failed")
        return pickle.loads(data)

    return answer


def dying_in_a_save(rng: random.Random) -> Callable[[], None]:
    """Make this process die at a random file operation, or with half of a checkpoint written."""
    left = rng.randint(1, 60)
    half = rng.random() < 0.4

    def arrange() -> None:
        import toolkit.engine.runs.checkpoints as checkpoints
        import toolkit.engine.runs.state as state

        checkpoints._LONGEST = 0.0
        checkpoints._WRITING_SHARE = 0
        if half:
            save, remaining = state.save_file, [max(1, left // 6)]

            def half_saved(arrays: Any, path: Any, *args: Any, **kwargs: Any) -> None:
                save(arrays, path, *args, **kwargs)
                remaining[0] -= 1
                if not remaining[0]:
                    os.truncate(path, Path(path).stat().st_size // 2)
                    os.kill(os.getpid(), signal.SIGKILL)

            state.save_file = half_saved
            return
        count = [left]
        for name in _FILE_OPERATIONS:
            setattr(os, name, _deadly(getattr(os, name), count))

    return arrange


def _deadly(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """A file operation that counts down and kills the process instead of executing the last one."""

    def operation(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    return operation


def strike(fault: Fault, folder: Path, seconds: float) -> tuple[bool, str]:
    """Start a run and disturb it; return whether that was in time, and what went wrong."""
    rng, log = random.Random(fault.seed), folder / "log.txt"
    config = config_for(folder)
    if fault.kind == "kill in a save":
        arrange = dying_in_a_save(rng)

        def doomed() -> None:
            arrange()
            fit(config)

        return wait(forked(doomed, log)) == -signal.SIGKILL, ""
    process = forked(lambda: fit(config), log)
    if fault.kind == "flipped byte":
        wait_for(checkpoint_in(folder), 10 * seconds)
        seconds /= 2
    time.sleep(rng.uniform(0.0, seconds))
    number = signal.SIGTERM if fault.kind == "SIGTERM" else signal.SIGKILL
    os.kill(process, number)
    code = wait(process)
    if fault.kind == "SIGTERM":
        early = code == -signal.SIGTERM  # training had not started
        return code != 0, "" if code in (0, 130) or early else f"SIGTERM ended it with {code}"
    return code == -signal.SIGKILL, ""


def checkpoint_in(folder: Path) -> Path:
    """The newest checkpoint of the run in a folder."""
    return folder / "job" / "checkpoints" / "last.safetensors"


def wait_for(path: Path, seconds: float) -> None:
    """Wait until a file exists, or the time is up."""
    until = time.monotonic() + seconds
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.05)


def flip(folder: Path, seed: int) -> bool:
    """Flip a bit of the newest checkpoint; return whether there is one."""
    path = checkpoint_in(folder)
    if not path.is_file():
        return False
    rng, data = random.Random(seed), bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return True


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A separate file system of a given size; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill_up(folder: Path, seed: int, size: int) -> tuple[bool, str]:
    """Run until the disk is full, then resume in a folder that has space."""
    rng = random.Random(seed)
    with small_disk(folder / "small", int(size / 1024 * rng.uniform(0.3, 1.1))):
        code = wait(forked(lambda: fit(config_for(folder / "small")), folder / "log.txt"))
        if code not in (0, _NO_SPACE_EXIT):
            return True, f"a full disk ended it with {code}"
        words = (folder / "log.txt").read_text(errors="replace")
        if code and os.strerror(errno.ENOSPC) not in words:
            return True, "the full disk was not named"
        if "Traceback" in words:
            return True, "a full disk gave a traceback"
        if (folder / "small" / "job").is_dir():
            shutil.copytree(folder / "small" / "job", folder / "job")
    return code != 0, ""
