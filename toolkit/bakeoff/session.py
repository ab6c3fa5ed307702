"""One session of a bake-off: run after run, and the outcome of each."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from toolkit.bakeoff.candidates import USUAL_RECIPE, Candidate
from toolkit.bakeoff.comparison import Comparison, row_of
from toolkit.bakeoff.runner import TrialRequest, TrialResult, train_apart, train_quietly
from toolkit.bakeoff.trial import Trial, begun_run, finished_trial, gather_record, time_spent, trial_of
from toolkit.bakeoff.trial_monitor import FRACTIONS, HalvingRung, least_value, rung_epoch
from toolkit.config import Config
from toolkit.core.console import info, status, warn
from toolkit.core.errors import Interrupted
from toolkit.core.files import clear_os_errors, write_json
from toolkit.core.notebook import in_notebook
from toolkit.engine import RunFolder, RunResult
from toolkit.tasks import TASKS

_SAFETY = 1.1
"""Another seed is started only if this many times the duration of earlier ones is left in the budget."""


@dataclass(frozen=True)
class LeftOut:
    """An unfinished run.

    Attributes:
        candidate: Title of the candidate.
        seed: Seed.
        why: ``budget``: lack of time; ``failed``: it cannot be trained.
        words: Human-readable details.
        always: The candidate is mandatory.
    """

    candidate: str
    seed: int
    why: str
    words: str
    always: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class Session:
    """Train unfinished runs one after another.

    Args:
        config: The base config.
        candidates: The candidates.
        seeds: Number of seeds for each.
        folder: Folder of the bake-off, with runs in ``runs/``, VisualDL logs in ``vdl/``, and the seconds of each
            session in ``sittings.json``. With ``done``, it only holds the runs.
        done: A finished run to use as the first seed of the first candidate.
        budget: Total seconds, including earlier sessions; None: no limit.
        apart: Use a separate process for each run.
        judged_on: Number of validation images for stopping runs early; 0: never stop early.

    Attributes:
        trials: Finished runs, by the title of the candidate.
        left_out: Unfinished runs.
    """

    def __init__(
        self,
        config: Config,
        candidates: Sequence[Candidate],
        seeds: int,
        folder: Path,
        *,
        done: RunResult | None = None,
        budget: float | None = None,
        apart: bool = False,
        judged_on: int = 0,
    ) -> None:
        self.metric = TASKS[config.task].main
        self.trials: dict[str, list[Trial]] = {}
        self.left_out: list[LeftOut] = []
        self._config, self._seeds, self._budget, self._done = config, seeds, budget, done
        self._candidates, self._judged_on, self._apart = tuple(candidates), judged_on, apart
        self._train: Callable[[TrialRequest], TrialResult] = train_apart if apart else train_quietly
        self._runs = folder if done else folder / "runs"
        self._records = None if done else folder / "vdl"
        self._sessions = None if done else folder / "sittings.json"
        self._began, self._earlier, self._number = time.monotonic(), 0.0, 0
        self._noted: list[float] = []

    @property
    def spent(self) -> float:
        """Seconds so far, over all sessions."""
        return self._earlier + time.monotonic() - self._began

    def run(self) -> None:
        """Train all runs.

        Raises:
            Interrupted: Ctrl-C or SIGTERM was received; finished runs are kept, and unfinished ones can be continued.
        """
        self._began = time.monotonic()
        with clear_os_errors(str(self._runs)):
            self._runs.mkdir(exist_ok=True)
        self._read_sessions()
        try:
            for seed in range(self._seeds):
                for candidate in sorted(self._candidates, key=lambda candidate: candidate.turn):
                    self._take(candidate, seed)
        except (KeyboardInterrupt, Interrupted):
            finished = sum(map(len, self.trials.values()))
            raise Interrupted(
                f"stopped after {finished} of {len(self._candidates) * self._seeds} runs, kept in {self._runs}",
                hint="repeat the same command to continue",
            ) from None
        finally:
            self._note_session()

    def rows(self) -> list[Comparison]:
        """Return the candidates that have a finished run, in their original order."""
        return [
            row_of(candidate, self.trials[candidate.title], self.metric)
            for candidate in self._candidates
            if candidate.title in self.trials
        ]

    def _read_sessions(self) -> None:
        """Add up earlier sessions; for sessions that were killed, count at least the epochs of their runs."""
        if self._sessions is not None and self._sessions.is_file():
            with suppress(RecursionError, TypeError, ValueError):  # damaged: use the durations of the runs
                self._noted = [float(seconds) for seconds in json.loads(self._sessions.read_text(encoding="utf-8"))]
        self._earlier = max(sum(self._noted), sum(map(time_spent, self._configs())))

    def _note_session(self) -> None:
        """Record the duration of this session so far."""
        if self._sessions is not None:
            with clear_os_errors(str(self._sessions)):
                write_json(self._sessions, [*self._noted, round(time.monotonic() - self._began, 3)])

    def _configs(self) -> Iterator[Config]:
        for candidate in self._candidates:
            for seed in range(self._seeds):
                yield candidate.config(self._config, seed, self._runs)

    def _take(self, candidate: Candidate, seed: int) -> None:
        """Read, train or leave out one run."""
        self._number += 1
        config = candidate.config(self._config, seed, self._runs)
        trial = self._known(candidate, seed, config)
        if trial is None:
            why = self._reason_against(candidate)
            if why is not None:
                self.left_out.append(LeftOut(candidate.title, config.seed, *why, candidate.always))
                return
            outcome = self._trained(candidate, seed, config)
            self._note_session()
            trial = finished_trial(config, candidate, self.metric) if outcome.status == "done" else None
            if trial is None:
                self._note_unfinished(candidate, config, outcome)
                return
            stopped = f", stopped after epoch {trial.epochs} of {trial.planned}" if trial.halted else ""
            score = f"{self.metric.title} {trial.score:.3f} ({trial.seconds:.1f} s{stopped})"
            info(f"  {self._label(candidate, config)}: {score}")
        if self._records is not None:
            gather_record(trial.folder, self._records)
        self.trials.setdefault(candidate.title, []).append(trial)

    def _known(self, candidate: Candidate, seed: int, config: Config) -> Trial | None:
        """Return a run that is already finished."""
        if self._done is not None and candidate is self._candidates[0] and seed == 0:
            return trial_of(RunFolder(self._done.folder.path), candidate, config.seed, self.metric)
        return finished_trial(config, candidate, self.metric)

    def _label(self, candidate: Candidate, config: Config) -> str:
        return f"{self._number}/{len(self._candidates) * self._seeds} {candidate.title}, seed {config.seed}"

    def _reason_against(self, candidate: Candidate) -> tuple[str, str] | None:
        """Return why a run is not started, or None."""
        if any(item.candidate == candidate.title and item.why == "failed" for item in self.left_out):
            return "failed", "another seed failed"
        if self._budget is None:
            return None
        left = self._budget - self.spent
        if left <= 0:
            return "budget", "no time was left"
        earlier = self.trials.get(candidate.title)
        needed = mean(trial.seconds for trial in earlier) if earlier else 0.0
        if _SAFETY * needed > left:
            return "budget", f"it takes about {needed:.0f} s, but only {left:.0f} s were left"
        return None

    def _trained(self, candidate: Candidate, seed: int, config: Config) -> TrialResult:
        left = None if self._budget is None else self._budget - self.spent
        first = candidate.title not in self.trials
        request = TrialRequest(
            config, self._rungs(candidate, config.seed), left, self._apart and first, begun_run(config)
        )
        with self._shown(f"{self._label(candidate, config)} ..."):
            outcome = self._train(request)
        gc.collect()  # a trainer and its parts form reference cycles that hold memory unknown to Python
        return outcome

    def _shown(self, words: str) -> AbstractContextManager[Any]:
        return status(words) if self._apart or in_notebook() else nullcontext()

    def _note_unfinished(self, candidate: Candidate, config: Config, outcome: TrialResult) -> None:
        label = self._label(candidate, config)
        if outcome.status == "paused":
            info(f"  {label}: out of time; increase the budget to continue")
            words = "time ran out before it was finished"
            self.left_out.append(LeftOut(candidate.title, config.seed, "budget", words, candidate.always))
        else:
            warn(f"{label} failed: {outcome.message}")
            self.left_out.append(LeftOut(candidate.title, config.seed, "failed", outcome.message, candidate.always))

    def _rungs(self, candidate: Candidate, seed: int) -> tuple[HalvingRung, ...]:
        """Return the points at which a run is stopped if it is far behind others with the same seed.

        The usual recipe is never stopped, because it is the reference for the others.
        """
        if not self._judged_on or candidate.plan is None or candidate.name == USUAL_RECIPE:
            return ()
        others = [trial for trials in self.trials.values() for trial in trials if trial.seed == seed]
        rungs = []
        for fraction in FRACTIONS:
            epoch = rung_epoch(fraction, candidate.plan.epochs)
            known = [(trial.best_until(math.ceil(fraction * trial.planned), self.metric), trial) for trial in others]
            known = [(value, trial) for value, trial in known if math.isfinite(value)]
            if epoch is not None and known:
                choose = max if self.metric.better == "max" else min
                value, leader = choose(known, key=lambda pair: pair[0])
                least = least_value(fraction, value, self._judged_on, self.metric)
                rungs.append(HalvingRung(epoch, least, leader.candidate, value))
        return tuple(rungs)
