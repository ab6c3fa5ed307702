"""The bake-off: train candidates, networks and seeds on the same splits, one run after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.bakeoff.candidates import check_candidates, make_candidates
from toolkit.bakeoff.comparison import Comparison, ranked, winner
from toolkit.bakeoff.session import LeftOut, Session
from toolkit.bakeoff.shift import shift_differences, with_shift
from toolkit.bakeoff.statistics import Convergence, Difference, convergence, differences, interval
from toolkit.bakeoff.trial import Trial
from toolkit.config import Config, dump_config
from toolkit.core.console import info, show, warn
from toolkit.core.errors import ConfigError, Interrupted, TrainingError
from toolkit.core.files import clear_os_errors, write_json, write_text
from toolkit.core.locking import locked
from toolkit.data.corruptions import CORRUPTIONS
from toolkit.data.summary import data_table
from toolkit.engine import RunFolder, RunResult
from toolkit.tasks import Metric


@dataclass(frozen=True, repr=False)
class BakeOff:
    """The results of a bake-off.

    Attributes:
        folder: Folder of the bake-off, with the runs in ``runs/`` and their VisualDL logs side by side in ``vdl/``.
        config: The base config.
        metric: The task's main metric.
        split: Split on which the scores are measured: ``test`` or ``val``.
        images: Number of images in that split.
        seeds: Number of requested seeds.
        rows: The candidates, best first.
        left_out: Unfinished runs.
        budget: Requested seconds, or None.
        seconds: Seconds taken over all sessions.
        presets: Requested candidates; None: all.
        networks: Requested networks, as ``name`` or ``name=weights``; empty: the config's.
        halving: Stop runs early that are far behind.
        folds: The seeds are the folds of a cross-validation of the training images.
        severities: Severities of the corruptions under which the runs were also evaluated; empty: none.
    """

    folder: Path
    config: Config
    metric: Metric
    split: str
    images: int
    seeds: int
    rows: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...] = ()
    budget: float | None = None
    seconds: float = 0.0
    presets: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()
    halving: bool = True
    folds: bool = False
    severities: tuple[int, ...] = ()

    @property
    def winner(self) -> Comparison:
        """The best candidate."""
        return winner(self.rows)

    @property
    def best(self) -> Trial:
        """The run of the best candidate with the best validation value."""
        sign = 1 if self.metric.better == "max" else -1
        return max(self.winner.trials, key=lambda trial: sign * trial.value)

    @property
    def missing(self) -> list[str]:
        """Mandatory candidates without a finished run, for lack of time or because they cannot be trained."""
        known = {row.title for row in self.rows}
        return [
            name for name in dict.fromkeys(item.candidate for item in self.left_out if item.always) if name not in known
        ]

    @property
    def differences(self) -> list[Difference]:
        """The best candidate against the others."""
        return differences(self.rows, self.images, folds=self.folds)

    @property
    def convergence(self) -> list[Convergence]:
        """How soon transfer reached the level of random weights, for each network."""
        return convergence(self.rows)

    @property
    def shift_differences(self) -> list[Difference]:
        """The best candidate against the others, by the mean under shift; empty unless that was measured."""
        return shift_differences(self.rows, self.images, folds=self.folds)

    def _shift_json(self) -> dict[str, Any]:
        if not self.severities:
            return {}
        found = [difference.to_json() for difference in self.shift_differences]
        return {"severities": list(self.severities), "shift_differences": found}

    def __repr__(self) -> str:
        scores = ", ".join(f"{row.title} {row.mean:.3f}" for row in self.rows)
        return f"{self.folder}: {self.metric.title} {scores} on {self.images} {self.split} images, {self.seeds} seeds"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json`` and ``comparison.json``."""
        return {
            "folder": str(self.folder),
            "metric": self.metric.name,
            "part": self.split,
            "images": self.images,
            "seeds": self.seeds,
            "folds": self.folds,
            "presets": None if self.presets is None else list(self.presets),
            "networks": list(self.networks),
            "to_the_end": not self.halving,
            "rows": [{**row.to_json(), "interval": interval(row.scores, folds=self.folds)} for row in self.rows],
            "differences": [difference.to_json() for difference in self.differences],
            **self._shift_json(),
            "convergence": [arrival.to_json() for arrival in self.convergence],
            "missing": self.missing,
            "left_out": [item.to_json() for item in self.left_out],
            "best": {
                "title": self.winner.title,
                "preset": self.winner.preset,
                "network": self.winner.network,
                **self.best.to_json(),
            },
            "budget": self.budget,
            "seconds": round(self.seconds, 3),
        }


def bake_off(
    config: Config,
    candidates: Sequence[str] | None = None,
    seeds: int = 3,
    networks: Sequence[str] = (),
    budget: float | None = None,
    *,
    apart: bool = True,
    halving: bool = True,
    folds: int | None = None,
    severities: Sequence[int] = (),
) -> BakeOff:
    """Train candidates on the same splits and find the best.

    Seed i determines both the data split and all randomness in training, for all candidates alike. Every candidate is
    trained with one seed before any is trained with a second. Mandatory candidates come first, so that a budget drops
    them last; within each group, the fastest come first. Finished runs are not trained again, and unfinished runs are
    continued: call this again after an interruption, or with more seeds, candidates or time.

    Args:
        config: The base config: its data, network and training, and its own plan as a candidate.
        candidates: Names of presets, or ``usual_recipe``; None: all. A linear probe, the usual
            recipe and training from scratch are always included.
        seeds: Number of seeds, >= 1.
        networks: Zoo names, alone or as ``name=weights``; empty: the config's network.
        budget: Total seconds over all sessions; runs that do not fit are left out, with a warning if mandatory
            candidates are among them.
        apart: Run each training in a separate process, so that peak memory is the run's own, and a crash only affects
            that run.
        halving: Stop a run at a quarter or half of its epochs if it is far behind the best other run at that point; the
            usual recipe is always trained to the end.
        folds: Cross-validation instead of seeds: each run trains on all folds of the training images but one and is
            scored on that one, with its last epoch. The data's validation and test images take no part.
        severities: Also evaluate the best epoch of every run on corrupted images, at these severities, 1 to 5.

    Returns:
        The results, whose folder is ``output_dir/<name>-compare``, or ``<name>-folds``.

    Raises:
        ToolkitError: The data, a network, its weights or a name is invalid; the budget is too small for one run; or
            every run failed.
        Interrupted: Ctrl-C or SIGTERM was received. Finished runs are kept.
    """
    if seeds < 1:
        raise ConfigError(f"seeds: expected 1 or more (found {seeds})")
    if folds is not None and folds < 2:
        raise ConfigError(f"folds: expected 2 or more (found {folds})")
    if folds is not None and config.data.fold is not None:
        raise ConfigError("data.fold selects one fold, but a comparison over folds needs all", hint="omit data.fold")
    seeds = folds or seeds
    found, job = check_candidates(config, make_candidates(config, candidates, networks))
    show(data_table(job.data))
    split, images = job.data.evaluation[0], len(job.data.evaluation[1])
    judged_on = len(job.data.val) if halving else 0
    if folds is not None:
        split, images = "folds", len(job.data.train)
        judged_on = images // folds if halving else 0
    del job
    folder = _folder(config, "-folds" if folds else "-compare")
    session = Session(config, found, seeds, folder, budget=budget, apart=apart, judged_on=judged_on, folds=bool(folds))
    with locked(folder / ".lock", f"another process is running a comparison in {folder}; waiting for it"):
        turns = f"{folds} folds" if folds else f"{seeds} seed{'s' if seeds > 1 else ''}"
        info(f"{len(found)} candidates, {turns} each, in {folder}")
        session.run()
        if not session.trials:
            raise _nothing(session.left_out, budget)
        if severities:
            _measure_shift(session, severities)
        done = BakeOff(
            folder,
            config,
            session.metric,
            split,
            images,
            seeds,
            rows=tuple(ranked(session.rows())),
            left_out=tuple(session.left_out),
            budget=budget,
            seconds=session.spent,
            presets=None if candidates is None else tuple(candidates),
            networks=tuple(networks),
            halving=halving,
            folds=bool(folds),
            severities=tuple(severities),
        )
        with clear_os_errors(str(folder)):
            write_json(folder / "comparison.json", done.to_json())
    if done.missing and budget is not None:
        missing = ", ".join(done.missing)
        warn(f"not trained, although every comparison needs them: {missing}; increase --budget to continue")
    return done


def _measure_shift(session: Session, severities: Sequence[int]) -> None:
    """Measure all finished runs under shift."""
    count = sum(map(len, session.trials.values()))
    passes = 1 + len(CORRUPTIONS) * len(severities)
    info(f"under shift: {len(CORRUPTIONS)} corruptions, {passes} passes over the images for each of {count} runs")
    try:
        session.trials.update(with_shift(session.trials, severities))
    except KeyboardInterrupt:
        raise Interrupted("stopped while measuring under shift", hint="repeat the same command to continue") from None


def _nothing(left_out: Sequence[LeftOut], budget: float | None) -> TrainingError:
    """Return the error for a bake-off without a finished run."""
    failed = next((item for item in left_out if item.why == "failed"), None)
    if failed is not None:
        return TrainingError(f"no candidate could be trained; {failed.candidate}: {failed.words}")
    return TrainingError(
        f"a budget of {budget:g} s is too small for one run: {left_out[0].candidate} was not finished",
        hint="increase it and repeat the same command to continue",
    )


def compare_presets(config: Config, done: RunResult) -> list[Comparison]:
    """Compare a finished run with the presets in ``transfer.compare``, in this process.

    Args:
        config: The config of the finished run.
        done: Its result, used as the first seed of its preset.

    Returns:
        One row per preset, the config's own first.

    Raises:
        TrainingError: A preset cannot be trained.
        Interrupted: Ctrl-C or SIGTERM was received.
    """
    candidates = make_candidates(config, config.transfer.compare, extra=())
    seeds = config.transfer.compare_seeds
    info(f"comparing with {', '.join(candidate.title for candidate in candidates)}; {seeds} seed(s) each")
    session = Session(config, candidates, seeds, done.folder.path / "compare", done=done)
    session.run()
    failed = next((item for item in session.left_out if item.why == "failed"), None)
    if failed is not None:
        raise TrainingError(f"{failed.candidate}, seed {failed.seed}: {failed.words}")
    return session.rows()


def _folder(config: Config, ending: str) -> Path:
    """Return ``<name>-compare`` or ``<name>-folds``, or with ``-2``, ... appended if another config uses that name."""
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        folder = RunFolder(config.output_dir.expanduser() / f"{config.name}{ending}{suffix}")
        with clear_os_errors(str(folder.path)):
            if not folder.config.is_file():
                if folder.path.is_dir() and any(folder.path.iterdir()):
                    number += 1
                    continue
                write_text(folder.config, dump_config(config))
        if not folder.differences(config):
            return folder.path
        number += 1
