"""Races simulated from recorded laps: the product's own decisions, with a rule that has not seen the data set.

    python benchmarks/simulate.py --laps FOLDER

Every situation with results and with laps of its candidates is raced once, from the laps of calibration_runs.py's seed
0. The rule that gives the expected losses is derived without the situation's data set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import toolkit  # noqa: E402, F401
from benchmarks.calibrate import EVIDENCE_ROWS, RESULTS, key_of, read_lines, read_results  # noqa: E402
from benchmarks.calibration import constant, fitted  # noqa: E402
from benchmarks.calibration_runs import Cell  # noqa: E402
from benchmarks.races import read_lap  # noqa: E402
from benchmarks.verdicts import CLOSE, Case, known_scores  # noqa: E402
from toolkit.advise.advisor import recommend  # noqa: E402
from toolkit.advise.choose import HEAD_ALONE  # noqa: E402
from toolkit.advise.measurement import Measurement  # noqa: E402
from toolkit.advise.race import FOLDS, RUNNERS, Lap, RaceResult, Runner, run_race  # noqa: E402
from toolkit.core.console import quietly  # noqa: E402
from toolkit.engine.learning.objective import make_objective  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """A race in one situation."""

    case: Case
    race: RaceResult
    seconds: float

    def regret(self, preset: str) -> float:
        """How much worse a preset is than the best one."""
        scores = known_scores(self.case)
        return max(scores.values()) - scores[preset]

    def right(self, preset: str) -> bool:
        """Whether a preset is close enough to the best one."""
        return self.regret(preset) <= max(CLOSE, self.case.situation.spread) + 1e-9


def simulate(case: Case, cases: Sequence[Case], laps: Path, seconds: dict[str, float]) -> Outcome | None:
    """Race the presets of one situation; None without laps."""
    rule = fitted([other for other in cases if other.data != case.data])
    _, _, choices = recommend(case.measured, rule)
    scores, situation = known_scores(case), case.situation

    def recorded(preset: str, fold: int) -> Lap | None:
        return read_lap(laps, Cell(0, case.data, situation.network, situation.images_per_class, preset), fold)

    entries = [choice for choice in choices if choice.preset in scores and recorded(choice.preset, 0)][:RUNNERS]
    if len(entries) < 2:
        return None
    folds = next((fold for fold in range(FOLDS) if not all(recorded(e.preset, fold) for e in entries)), FOLDS)
    runners = []
    for choice in entries:
        short = recorded(choice.preset, 0)
        assert short is not None
        moving = choice.preset not in HEAD_ALONE
        runners.append(
            Runner(choice.preset, choice.loss or 0.0, short.seconds, seconds.get(choice.preset, 0.0), moving)
        )

    def lap(runner: Runner, fold: int) -> Lap:
        found = recorded(runner.title, fold)
        assert found is not None
        return found

    with quietly():
        race = run_race(runners, lap, make_objective("classification"), folds=folds)
    return Outcome(case, race, seconds.get(runners[0].title, 0.0))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laps", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--evidence", type=Path, default=EVIDENCE_ROWS)
    args = parser.parse_args()
    results = {one.key: one for one in read_results(args.results)}
    measured = {key_of(row): Measurement.model_validate(row["measurement"]) for row in read_lines(args.evidence)}
    cases = [Case(results[key], measured[key]) for key in results if key in measured and len(results[key].scores) > 3]
    times: dict[object, dict[str, list[float]]] = {}
    for row in read_lines(args.results):
        times.setdefault(key_of(row), {}).setdefault(row["preset"], []).append(row["seconds"])
    outcomes = []
    for case in sorted(cases, key=lambda case: case.situation.name):
        seconds = {preset: mean(values) for preset, values in times[case.situation.key].items()}
        outcome = simulate(case, cases, args.laps, seconds)
        if outcome is None:
            continue
        outcomes.append(outcome)
        race, scores = outcome.race, known_scores(case)
        rest = [other for other in cases if other.data != case.data]
        rest_rule = constant(rest).rule.branches["rest"].preset
        print(
            f"{case.situation.name:55} best {max(scores, key=lambda p: scores[p]):16} rule {race.before:16} "
            f"{100 * outcome.regret(race.before):5.1f} race {race.winner:16} {100 * outcome.regret(race.winner):5.1f} "
            f"{race.sure:4.0%} constant {rest_rule} "
            f"{100 * outcome.regret(rest_rule) if rest_rule in scores else -1:5.1f} "
            f"{race.seconds / max(outcome.seconds, 1):.2f}x"
        )
    for name, pick in (("rule", lambda o: o.race.before), ("race", lambda o: o.race.winner)):
        print(
            f"{name}: right {mean(o.right(pick(o)) for o in outcomes):.0%}, regret "
            f"{100 * mean(o.regret(pick(o)) for o in outcomes):.2f} points in {len(outcomes)} situations"
        )
    print(f"cost: median {median(o.race.seconds / max(o.seconds, 1) for o in outcomes):.2f} times the training advised")


if __name__ == "__main__":
    main()
