"""A campaign of faults: runs on the embedded digits are killed, interrupted, starved of disk or damaged, then resumed.

    python benchmarks/faults.py [--kills 100] [--terms 20] [--full 10] [--flips 10] [--jobs 2] [--out FILE]

Every run must go on and end with the same weights, to the bit, and the same metrics as a run that was left in peace.
Half of the kills fall in the middle of a save: the process kills itself at a random file operation, or with half a
file written; the others come from outside at a random moment. A fork of one process that has imported Paddle runs
each training, which saves most of the time. Exit code 1 when a run was lost or ended elsewhere.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toolkit  # noqa: F401 - sets threads before Paddle is imported
from toolkit.config import Config, make_config
from toolkit.errors import ToolkitError

__all__ = ["campaign"]

_FILE_OPERATIONS = ("fsync", "replace", "link", "unlink")
_RETRIES = 5
_NO_SPACE_EXIT = 1


@dataclass(frozen=True)
class Fault:
    """One disturbed run.

    Attributes:
        kind: ``kill``, ``kill in a save``, ``SIGTERM``, ``full disk`` or ``flipped byte``.
        seed: Decides when and where.
    """

    kind: str
    seed: int


@dataclass(frozen=True)
class Ended:
    """How a disturbed run ended.

    Attributes:
        fault: What was done to it.
        disturbed: Whether the fault struck before the run was done.
        problem: What was wrong; empty when it ended as the run that was left in peace.
    """

    fault: Fault
    disturbed: bool
    problem: str = ""


def config_for(output: Path, name: str = "job") -> Config:
    """A job with everything that has a state: augmentation, dropout, momentum, averages, plateau, two phases."""
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
    """Train, from wherever the run stands."""
    from toolkit.engine import Trainer

    Trainer.from_config(config).fit()


def forked(work: Callable[[], Any], log: Path | None) -> int:
    """Start a process for some work; its exit code is that of a tool."""
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


def dying_in_a_save(rng: random.Random) -> Callable[[], None]:
    """Arrange that this process dies at a random file operation, or with half of a checkpoint written."""
    left = rng.randint(1, 60)
    half = rng.random() < 0.4

    def arrange() -> None:
        import toolkit.engine.keeping as keeping
        import toolkit.engine.state as state

        keeping._LONGEST = 0.0
        keeping._WRITING_SHARE = 0
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
    """A file operation that counts down, and ends the process in place of the last one."""

    def operation(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    return operation


def strike(fault: Fault, folder: Path, seconds: float) -> tuple[bool, str]:
    """Begin a run and disturb it; whether that came in time, and what was wrong."""
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
        early = code == -signal.SIGTERM  # it had not begun to train
        return code != 0, "" if code in (0, 130) or early else f"SIGTERM ended it with {code}"
    return code == -signal.SIGKILL, ""


def checkpoint_in(folder: Path) -> Path:
    """The newest checkpoint of the run in a folder."""
    return folder / "job" / "checkpoints" / "last.safetensors"


def wait_for(path: Path, seconds: float) -> None:
    """Wait until a file is there, or the time is over."""
    until = time.monotonic() + seconds
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.05)


def flip(folder: Path, seed: int) -> bool:
    """Flip a bit of the newest checkpoint; whether there is one."""
    path = checkpoint_in(folder)
    if not path.is_file():
        return False
    rng, data = random.Random(seed), bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return True


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own, of a given size; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill_up(folder: Path, seed: int, size: int) -> tuple[bool, str]:
    """Run where the disk becomes full, then make room and go on in a folder that has it."""
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


def outcome(folder: Path) -> dict[str, Any]:
    """What a run has come to: its weights, best weights and metrics."""
    from toolkit.engine import RunFolder, TrainingState
    from toolkit.zoo import read_weights

    run = RunFolder(folder)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    state = TrainingState.load(run.last)
    best = {key: value.tobytes() for key, value in read_weights(run.best).items()}
    return {
        "weights": {key: value.tobytes() for key, value in state.weights.items()},
        "best": best,
        "metrics": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "averages": {key: value.tobytes() for key, value in state.averages.items()},
    }


def disturbed_run(fault: Fault, seconds: float, size: int, expected: dict[str, Any]) -> Ended:
    """Disturb a run, let it go on, and compare."""
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        folder = Path(place)
        if fault.kind == "full disk":
            unfinished, problem = fill_up(folder, fault.seed, size)
        else:
            unfinished, problem = strike(fault, folder, seconds)
        disturbed = unfinished and (fault.kind != "flipped byte" or flip(folder, fault.seed))
        for _ in range(_RETRIES):
            if problem or not unfinished or wait(forked(lambda: fit(config_for(folder)), folder / "log.txt")) == 0:
                break
        else:
            tail = (folder / "log.txt").read_text(errors="replace").splitlines()[-3:]
            problem = f"it did not go on: {' | '.join(tail)}"
        return Ended(fault, disturbed, problem or _difference(folder, expected))


def _difference(folder: Path, expected: dict[str, Any]) -> str:
    runs = sorted(folder.glob("job*"))
    if len(runs) != 1 and (folder / "job" / "checkpoints").is_dir():
        return f"{len(runs)} runs in place of one"

    def compare() -> list[str]:
        found = outcome(runs[-1])
        return [part for part in expected if found[part] != expected[part]]

    try:
        wrong = _in_process(compare, folder / "log.txt")()
    except RuntimeError as error:
        return f"its files cannot be read: {str(error).splitlines()[-1]}"
    return f"other {', '.join(wrong)} than in peace" if wrong else ""


def campaign(faults: list[Fault], jobs: int = 1) -> list[Ended]:
    """Run them all, after one that is left in peace.

    Args:
        faults: What to do.
        jobs: Runs at a time.
    """
    with tempfile.TemporaryDirectory(prefix="faults-peace-") as place:
        folder = Path(place)
        began = time.monotonic()
        if wait(forked(lambda: fit(config_for(folder)), folder / "log.txt")):
            sys.exit((folder / "log.txt").read_text())
        seconds = time.monotonic() - began
        size = sum(file.stat().st_size for file in (folder / "job").rglob("*") if file.is_file())
        expected = _in_process(lambda: outcome(folder / "job"), folder / "log.txt")()
    print(f"a run in peace takes {seconds:.1f} s and {size / 1e6:.1f} MB", file=sys.stderr)

    def share(number: int) -> Callable[[], list[Ended]]:
        return lambda: [_told(disturbed_run(fault, seconds, size, expected)) for fault in faults[number::jobs]]

    waiting = [_in_process(share(number)) for number in range(jobs)]  # no threads: Paddle's mode is that of a thread
    return [each for answer in waiting for each in answer()]


def _told(ended: Ended) -> Ended:
    if ended.problem:
        print(f"{ended.fault}: {ended.problem}", file=sys.stderr)
    return ended


def _in_process(work: Callable[[], Any], log: Path | None = None) -> Callable[[], Any]:
    """Work in a fork of this process, which must not use Paddle itself; what is returned waits for the answer."""
    reader, writer = os.pipe()

    def tell() -> None:
        with os.fdopen(writer, "wb") as file:
            pickle.dump(work(), file)

    process = forked(tell, log)
    os.close(writer)

    def answer() -> Any:
        with os.fdopen(reader, "rb") as file:
            data = file.read()
        if wait(process):
            raise RuntimeError(log.read_text(errors="replace") if log else "a process of the campaign failed")
        return pickle.loads(data)

    return answer


def main() -> None:
    """Run the campaign and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("kills", 100), ("terms", 20), ("full", 10), ("flips", 10)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON")
    args = parser.parse_args()
    from toolkit.runtime import import_paddle

    import_paddle()
    kinds = ["kill in a save"] * (args.kills // 2) + ["kill"] * (args.kills - args.kills // 2)
    kinds += ["SIGTERM"] * args.terms + ["full disk"] * args.full + ["flipped byte"] * args.flips
    ended = campaign([Fault(kind, args.seed * 10_000 + number) for number, kind in enumerate(kinds)], args.jobs)
    counts = {kind: Counter() for kind in dict.fromkeys(kinds)}
    for each in ended:
        counts[each.fault.kind].update(runs=1, struck=each.disturbed, lost=bool(each.problem))
    print(f"{'fault':16} {'runs':>5} {'struck':>7} {'lost':>5}")
    for kind, count in counts.items():
        print(f"{kind:16} {count['runs']:5} {count['struck']:7} {count['lost']:5}")
    if args.out:
        rows = {kind: dict(count) for kind, count in counts.items()}
        problems = [f"{each.fault.kind} {each.fault.seed}: {each.problem}" for each in ended if each.problem]
        args.out.write_text(json.dumps({"counts": rows, "problems": problems}, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(each.problem for each in ended))


if __name__ == "__main__":
    main()
