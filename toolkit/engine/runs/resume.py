"""The folder of a training, new or of a run to resume: locked, and the same for all processes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.config import Config
from toolkit.core.console import info, warn
from toolkit.core.errors import DataError, TrainingError
from toolkit.core.locking import FileLock
from toolkit.core.names import listed
from toolkit.core.runtime import world_size
from toolkit.data.sharding import completed_steps
from toolkit.data.signature import split_signatures
from toolkit.engine.job import Job
from toolkit.engine.learning.distributed import on_main
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.model_facts import stored_facts
from toolkit.engine.runs.state import TrainingState, refuse_newer_states


@dataclass(frozen=True)
class OpenedRun:
    """The folder of a training.

    Attributes:
        folder: The folder.
        resumed: Whether a run is resumed in it.
        complete: Whether that run has trained all its epochs, so that nothing is left to train.
        lock: Lock against other processes; held by the main process only.
    """

    folder: RunFolder
    resumed: bool
    complete: bool
    lock: FileLock | None


def open_run(job: Job, resume: Path | str | None) -> OpenedRun:
    """Create or open the folder of a run, and lock it against other processes.

    Args:
        job: The job.
        resume: Folder of a run to resume; ``auto`` (or ``train.resume: auto`` in the config) for the newest unfinished
            run of this config, if any; None for a new run.

    Raises:
        ToolkitError: The folder cannot be written, is in use, or has no run of this config and data; raised on all
            processes.
    """
    lock: FileLock | None = None

    def choose() -> tuple[str, bool, bool]:
        nonlocal lock
        folder, resumed = _choose(job, resume)
        complete = resumed and is_complete(folder, job.plan.epochs)
        lock = folder.lock()
        if resumed and not complete:
            folder.adopt(job.config)
        return str(folder.path), resumed, complete

    path, resumed, complete = on_main(choose)
    return OpenedRun(RunFolder(Path(path)), resumed, complete, lock)


def is_complete(folder: RunFolder, epochs: int) -> bool:
    """Whether a run is finished and has trained all currently requested epochs."""
    record = folder.read_record()
    planned = sum(phase.get("epochs", 0) for phase in (record.get("plan") or {}).get("phases", ()))
    return bool(record.get("finished")) and folder.best.is_file() and epochs <= planned


def _choose(job: Job, resume: Path | str | None) -> tuple[RunFolder, bool]:
    config = job.config
    wanted = resume if resume is not None else config.train.resume
    if wanted == "auto":
        begun = unfinished_run(config)
        if begun is None:
            info("resume: auto: no unfinished run of this config; starting a new one")
        wanted = None if begun is None else begun.path
    if wanted is None:
        return RunFolder.create(config), False
    folder = RunFolder.open(wanted, config)
    refuse_newer_states(folder.last, folder.previous)
    check_same_data(folder, job)
    usable = folder.has_checkpoint and not _first_is_damaged(folder)
    if not usable:
        if folder.read_record().get("finished"):
            raise TrainingError(f"{folder.path} no longer has a checkpoint", hint="start another run")
        info(f"{folder.path} has no checkpoint yet; starting over")
        folder.adopt(config)
        folder.keep_metrics_until(0)
    return folder, usable


def seen_as_before(job: Job, folder: RunFolder) -> Job:
    """The job with the preprocessing of the resumed run; reports if the current one differs."""
    preprocessing = stored_facts(folder).preprocessing
    if preprocessing == job.preprocessing:
        return job
    info(f"{folder.path}: images are read and normalised as at the start of the run")
    return replace(job, preprocessing=preprocessing)


def check_same_data(folder: RunFolder, job: Job) -> None:
    """Refuse to resume a run whose classes or images changed; reports if only file times differ.

    Args:
        folder: The run's folder.
        job: The job, whose data are compared with those of the run.

    Raises:
        DataError: The data differ; the message says how.
    """
    was = folder.read_record().get("data") or {}
    if not was:
        return
    differs = f"the data are not those that {folder.path} started with"
    if was.get("classes", list(job.data.classes)) != list(job.data.classes):
        weights = shlex.quote(f"model.pretrained={folder.best}")
        raise DataError(
            f"{differs}: {_differing_classes(was['classes'], job.data.classes)}",
            hint=f"restore them, or start another run; to start from its weights: -o {weights}",
        )
    if now := _differing_counts(was.get("images") or {}, job.data.counts()):
        raise DataError(f"{differs}: {now}", hint="restore the images, or start another run")
    signatures = was.get("signatures")
    if signatures is not None:
        current = split_signatures(job.data.splits, job.config.data.root)
        changed = [part for part in current if signatures.get(part) != current[part]]
        if changed:
            raise DataError(
                f"{differs}: other files, sizes or labels in {' and '.join(changed)} (their number is the same)",
                hint="restore the images, or start another run",
            )
    if was.get("fingerprint") not in (None, job.data.fingerprint()):
        what = (
            "files have moved or have other times" if signatures else "files have moved, or have other times or sizes"
        )
        info(f"{folder.path}: image {what} since the run started; their names and labels are the same")


def _differing_classes(was: Sequence[str], now: Sequence[str]) -> str:
    gone, new = [name for name in was if name not in now], [name for name in now if name not in was]
    if not gone and not new:
        return f"classes are in another order ({listed(list(now))}; the run has {listed(list(was))})"
    parts = [f"{listed(gone)} gone"] if gone else []
    parts += [f"{listed(new)} new"] if new else []
    return f"of {len(was)} classes, {' and '.join(parts)}"


def _differing_counts(was: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> str:
    """Differences in the number of images by split and class; empty if there are none."""
    changes = [
        f"{part} {name} {(was.get(part) or {}).get(name, 0)} -> {(now.get(part) or {}).get(name, 0)}"
        for part in dict.fromkeys((*was, *now))
        for name in dict.fromkeys((*(was.get(part) or {}), *(now.get(part) or {})))
        if (was.get(part) or {}).get(name, 0) != (now.get(part) or {}).get(name, 0)
    ]
    return f"other numbers of images ({listed(changes)})" if was and changes else ""


def _first_is_damaged(folder: RunFolder) -> bool:
    """Whether the only checkpoint, from the start of the run, is unreadable: no epoch is lost with it."""
    if folder.previous.is_file() or folder.best.is_file():
        return False
    try:
        TrainingState.load(folder.last)
    except TrainingError as error:
        warn(error.message)
        return True
    return False


def unfinished_run(config: Config) -> RunFolder | None:
    """The newest unfinished run of a config; None if there is none."""
    output = config.output_dir.expanduser()
    numbered = re.compile(rf"{re.escape(config.name)}(?:-(\d+))?")
    runs = []
    for path in output.iterdir() if output.is_dir() else ():
        match = numbered.fullmatch(path.name)
        if match and (path / "config.yaml").is_file():
            runs.append((int(match[1] or 1), RunFolder(path)))
    for _, folder in sorted(runs, key=lambda item: item[0], reverse=True):
        with folder.passed_over():
            if not folder.read_record().get("finished") and not folder.differences(config):
                return folder
    return None


def first_step(job: Job, state: TrainingState) -> int:
    """The step at which a partial epoch resumes; 0 for a new epoch.

    If it started with another total batch size, the number of images seen decides, with a message.

    Args:
        job: The job.
        state: The state of the run.
    """
    if not state.step:
        return 0
    loader = job.loader(job.data.train, training=True, shared=True)
    total = len(job.data.train) if loader.sampler is None else len(loader.sampler)
    done = completed_steps(
        state.seen, total, loader.batch_size, world_size=world_size(), global_batch_size=loader.global_batch_size
    )
    if done != state.step:
        info(
            f"{state.seen} images of this epoch were seen in {state.step} steps; "
            f"in batches of {loader.global_batch_size} that is step {done}"
        )
    return done
