"""A campaign of faults: runs on the embedded digits are killed, interrupted, starved of disk or damaged, then resumed.

    python benchmarks/faults.py [--kills 100] [--terms 20] [--full 10] [--flips 10] [--jobs 2] [--out FILE]

Every run must resume and end with the same weights, to the bit, and the same metrics as an undisturbed run. Half of the
kills happen in the middle of a save: the process kills itself at a random file operation, or with half a file written;
the others come from outside at a random moment. Each training runs in a fork of one process that has imported Paddle,
which saves most of the time. The exit code is 1 if a run was lost or ended with different results.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toolkit  # noqa: F401 - sets threads before Paddle is imported
from benchmarks.disturbances import Fault, config_for, fill_up, fit, flip, forked, in_process, strike, wait

__all__ = ["campaign"]

_RETRIES = 5


@dataclass(frozen=True)
class Ended:
    """How a disturbed run ended.

    Attributes:
        fault: What was done to it.
        disturbed: Whether the fault struck before the run was done.
        problem: What went wrong; empty if it ended like the undisturbed run.
    """

    fault: Fault
    disturbed: bool
    problem: str = ""


def outcome(folder: Path) -> dict[str, Any]:
    """The outcome of a run: its weights, best weights and metrics."""
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
    """Disturb a run, resume it, and compare; if it ended before the fault, try again and strike earlier."""
    for share in (1.0, 0.5, 0.25, 0.1):
        ended = _attempt(fault, share * seconds, size, expected)
        if ended.disturbed or ended.problem:
            break
    return ended


def _attempt(fault: Fault, seconds: float, size: int, expected: dict[str, Any]) -> Ended:
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
            problem = f"it did not resume: {' | '.join(tail)}"
        return Ended(fault, disturbed, problem or _difference(folder, expected))


def _difference(folder: Path, expected: dict[str, Any]) -> str:
    runs = sorted(folder.glob("job*"))
    if len(runs) != 1 and (folder / "job" / "checkpoints").is_dir():
        return f"{len(runs)} runs instead of one"

    def compare() -> list[str]:
        found = outcome(runs[-1])
        return [part for part in expected if found[part] != expected[part]]

    try:
        wrong = in_process(compare, folder / "log.txt")()
    except RuntimeError as error:
        return f"its files cannot be read: {str(error).splitlines()[-1]}"
    return f"{', '.join(wrong)} differ from the undisturbed run" if wrong else ""


def campaign(faults: list[Fault], jobs: int = 1) -> list[Ended]:
    """Run them all, after one undisturbed run.

    Args:
        faults: The faults to inject.
        jobs: Parallel runs.
    """
    with tempfile.TemporaryDirectory(prefix="faults-peace-") as place:
        folder = Path(place)
        began = time.monotonic()
        if wait(forked(lambda: fit(config_for(folder)), folder / "log.txt")):
            sys.exit((folder / "log.txt").read_text())
        seconds = time.monotonic() - began
        size = sum(file.stat().st_size for file in (folder / "job").rglob("*") if file.is_file())
        expected = in_process(lambda: outcome(folder / "job"), folder / "log.txt")()
    print(f"an undisturbed run takes {seconds:.1f} s and {size / 1e6:.1f} MB", file=sys.stderr)

    def share(number: int) -> Callable[[], list[Ended]]:
        return lambda: [_reported(disturbed_run(fault, seconds, size, expected)) for fault in faults[number::jobs]]

    waiting = [in_process(share(number)) for number in range(jobs)]  # no threads: Paddle's mode is that of a thread
    return [each for answer in waiting for each in answer()]


def _reported(ended: Ended) -> Ended:
    if ended.problem:
        print(f"{ended.fault}: {ended.problem}", file=sys.stderr)
    return ended


def main() -> None:
    """Run the campaign and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("kills", 100), ("terms", 20), ("full", 10), ("flips", 10)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--jobs", type=int, default=1, help="parallel runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON")
    args = parser.parse_args()
    from toolkit.core.runtime import import_paddle

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
