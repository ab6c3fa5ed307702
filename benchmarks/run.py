"""Run the benchmarks: this toolkit compared with others, each doing the same job on the same images.

    python benchmarks/run.py [--only CASE ...] [--without PEER ...] [--repeats 3] [--smoke] [--dry-run]

Every round runs all contenders of a case one after the other (A B A B ...), each in its own process, so other
load on the machine affects all equally. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from benchmarks.cases import CASES, OURS, PEERS, Case, Contender  # noqa: E402
from benchmarks.environments import Environment, choose_workers, make_environment, program_of  # noqa: E402
from benchmarks.material import IMAGE_SETS, link_images, make_weights  # noqa: E402
from benchmarks.measure import Failed, Measurement, clean_environment, measure  # noqa: E402
from benchmarks.report import collect, machine, read_results, write_results  # noqa: E402
from benchmarks.works import FRESH, ExtractWork, Places, TrainWork  # noqa: E402

TIMEOUT, BUSY = 3 * 3600.0, 0.7
NETWORKS = {"mobilenet_v2": "mobilenet_v2_1.0.pdparams", "resnet18": None}
"""Networks and the file of their ImageNet weights; None: random weights."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, run, write; return 1 if something was missing or failed."""
    args = _parser().parse_args(arguments)
    places = Places(REPO, args.work.expanduser().resolve())
    cases = [case for case in CASES if not args.only or case.name in args.only]
    if args.dry_run:
        _show(cases, places, args.smoke)
        return 0
    environments = _prepare(args, cases, places)
    out = args.out or (places.work / "smoke.md" if args.smoke else REPO / "benchmarks" / "results.md")
    if (load := os.getloadavg()[0]) > BUSY and not args.smoke:
        print(f"the machine is busy (load {load:.1f}): times will be unreliable", file=sys.stderr)
    results, whole = read_results(out.with_suffix(".json")), True
    for case in cases:
        found = _run_case(case, places, environments, repeats=args.repeats, smoke=args.smoke)
        results = {**results, case.name: found}
        write_results(out, results)  # after every case: an interrupted run keeps what it has
        whole = whole and not any(row.get("missing") for row in found["rows"])
    print(f"written: {out}", file=sys.stderr)
    return 0 if whole else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], choices=[case.name for case in CASES], metavar="CASE")
    parser.add_argument("--without", nargs="+", default=[], choices=list(PEERS), metavar="PEER", help="leave peers out")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to check that everything runs: no results")
    parser.add_argument("--dry-run", action="store_true", help="show the commands")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown; JSON is written next to it")
    parser.add_argument(
        "--work", type=Path, default=Path("~/.cache/paddle-finetune/bench"), help="environments, images"
    )
    assets = Path(os.environ.get("TOOLKIT_ASSETS") or REPO.parent / "shared" / "assets")
    parser.add_argument("--images", type=Path, default=assets / "datasets" / "flower_photos")
    parser.add_argument("--weights", type=Path, default=assets / "weights", help="folder of ImageNet weights")
    return parser


def _prepare(args: argparse.Namespace, cases: Sequence[Case], places: Places) -> dict[str, Environment]:
    """Images, weights and environments that the cases need."""
    rows = [contender for case in cases for contender in case.contenders]
    works = [row.work for row in rows]
    if any(isinstance(work, TrainWork | ExtractWork) for work in works):
        wanted = {"smoke"} | (set() if args.smoke else {"photos_200_50"})
        wanted |= {work.images for work in works if isinstance(work, TrainWork) and not args.smoke}
        for name in IMAGE_SETS:
            if name in wanted:
                link_images(args.images, places, name)
        for network, file in NETWORKS.items():
            make_weights(network, args.weights / file if file else None, places)
    return {name: _environment(name, args, rows, places) for name in sorted({row.environment for row in rows})}


def _environment(name: str, args: argparse.Namespace, rows: Sequence[Contender], places: Places) -> Environment:
    if name in args.without:
        return Environment(name, Path(), missing="left out with --without")
    used = {row.work.network for row in rows if row.environment == name and isinstance(row.work, TrainWork)}
    made = make_environment(name, places, used)
    if not args.smoke:
        choose_workers(made, places)
    if made.missing:
        print(f"{name} is missing: {made.missing}", file=sys.stderr)
    return made


def _run_case(
    case: Case, places: Places, environments: Mapping[str, Environment], *, repeats: int, smoke: bool
) -> dict[str, Any]:
    print(f"{case.name}: {case.title}", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    runs: dict[str, list[dict[str, Any]]] = {row.label: [] for row in case.contenders}
    missing = {row.label: environments[row.environment].missing for row in case.contenders}
    for number in range(repeats):
        for row in case.contenders:
            if missing[row.label] or (row.once and number):
                continue
            try:
                if row.warm and not number:
                    _run(row, places, environments, smoke)
                done = _run(row, places, environments, smoke)
            except Failed as error:
                missing[row.label] = str(error)
                print(f"  {row.label}: failed, {error}", file=sys.stderr, flush=True)
                continue
            runs[row.label].append(done.to_json())
            print(
                f"  {row.label}: {done.wall:.1f} s, {done.cpu:.1f} CPU-s, {done.peak:.0f} MB",
                file=sys.stderr,
                flush=True,
            )
    rows = [
        {
            "label": row.label,
            "subject": row.subject,
            "missing": missing[row.label],
            **collect(runs[row.label], case.clock),
        }
        for row in case.contenders
    ]
    used = {row.environment: environments[row.environment] for row in case.contenders}
    return {
        "name": case.name,
        "title": case.title,
        "equal": case.equal,
        "different": case.different,
        "goal": case.goal,
        "smoke": smoke,
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "load": load,
        "machine": machine(),
        "environments": {
            name: {"versions": e.versions, "checks": e.checks, "missing": e.missing, "options": e.options}
            for name, e in used.items()
        },
        "rows": rows,
    }


def _run(row: Contender, places: Places, environments: Mapping[str, Environment], smoke: bool) -> Measurement:
    """Run one contender once, in its own empty folder."""
    fresh = Path(tempfile.mkdtemp(prefix="run-", dir=places.work))
    try:
        command = _command(row, places, environments[row.environment], smoke)
        words = [word.replace(FRESH, str(fresh)) for word in command]
        variables = clean_environment(("OMP_NUM_THREADS",) if smoke else ())
        if row.environment == OURS:
            variables["PYTHONPATH"] = str(places.repo)
        return measure(words, variables, fresh, TIMEOUT, places.work / "last_stderr.txt")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _command(row: Contender, places: Places, environment: Environment, smoke: bool) -> list[str]:
    work = row.work.small() if smoke else row.work
    arguments = work.for_ours(places) if row.environment == OURS else work.for_peers(places)
    extra = [word.replace("{work}", str(places.work / "smoke" if smoke else places.work)) for word in row.extra]
    program = str(program_of(row.program, places.repo))
    return [str(environment.python), program, *arguments, *extra, *environment.options]


def _show(cases: Sequence[Case], places: Places, smoke: bool) -> None:
    for case in cases:
        print(f"{case.name}: {case.title}")
        for row in case.contenders:
            python = (
                Path(sys.executable) if row.environment == OURS else places.work / "venvs" / row.program / "bin/python"
            )
            print(
                f"  {row.label}\n    {shlex.join(_command(row, places, Environment(row.environment, python), smoke))}"
            )


if __name__ == "__main__":
    sys.exit(main())
