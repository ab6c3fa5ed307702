"""The folder that a training works in, new or that of a run to go on with: locked, and the same for all processes."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.config import Config
from toolkit.console import info, warn
from toolkit.data.sharding import steps_behind
from toolkit.engine.distributed import on_main
from toolkit.engine.job import Job
from toolkit.engine.run_folder import RunFolder
from toolkit.engine.state import TrainingState
from toolkit.errors import TrainingError
from toolkit.locking import FileLock
from toolkit.runtime import world_size

__all__ = ["first_step", "open_run", "unfinished_run"]


def open_run(config: Config, resume: Path | str | None) -> tuple[RunFolder, bool, FileLock | None]:
    """Make or open the folder of a run, and keep other processes out.

    Args:
        config: The job.
        resume: Folder of a run to go on with; ``auto`` (or ``train.resume: auto`` in the config) for the newest
            unfinished run of this config, if there is one; None for a new one.

    Returns:
        The folder, whether a run goes on in it, and the lock, which the main process holds.

    Raises:
        ToolkitError: The folder cannot be written, is in use, or holds no run of this config; on all processes alike.
    """
    lock: FileLock | None = None

    def choose() -> tuple[str, bool]:
        nonlocal lock
        folder, resumed = _choose(config, resume)
        lock = folder.lock()
        return str(folder.path), resumed

    path, resumed = on_main(choose)
    return RunFolder(Path(path)), resumed, lock


def _choose(config: Config, resume: Path | str | None) -> tuple[RunFolder, bool]:
    wanted = resume if resume is not None else config.train.resume
    if wanted == "auto":
        begun = unfinished_run(config)
        if begun is None:
            info("resume: auto: no unfinished run of this config is there; a new one begins")
        wanted = None if begun is None else begun.path
    if wanted is None:
        return RunFolder.create(config), False
    folder = RunFolder.open(wanted, config)
    usable = folder.has_checkpoint and not _first_is_damaged(folder)
    if not usable:
        if folder.read_record().get("finished"):
            raise TrainingError(f"{folder.path} has no checkpoint any more", hint="begin another run")
        info(f"{folder.path} has no checkpoint to go on from yet; it begins anew")
        folder.keep_metrics_until(0)
    return folder, usable


def _first_is_damaged(folder: RunFolder) -> bool:
    """Whether the only checkpoint, of the run's beginning, cannot be read: no epoch is lost with it."""
    if folder.previous.is_file() or folder.best.is_file():
        return False
    try:
        TrainingState.load(folder.last)
    except TrainingError as error:
        warn(error.message)
        return True
    return False


def unfinished_run(config: Config) -> RunFolder | None:
    """The newest run of a config that has no end; None when there is none."""
    output = config.output_dir.expanduser()
    numbered = re.compile(rf"{re.escape(config.name)}(?:-(\d+))?")
    found = []
    for path in output.iterdir() if output.is_dir() else ():
        match = numbered.fullmatch(path.name)
        if match and (path / "config.yaml").is_file():
            found.append((int(match[1] or 1), RunFolder(path)))
    for _, folder in sorted(found, key=lambda item: item[0], reverse=True):
        if not folder.read_record().get("finished") and not folder.differences(config):
            return folder
    return None


def first_step(job: Job, state: TrainingState) -> int:
    """The step with which an epoch that was begun goes on; 0 for a new one.

    Where other processes began it, with another batch in all, the images that were seen decide; a line says so.

    Args:
        job: The job.
        state: Where the run stands.
    """
    if not state.step:
        return 0
    loader = job.loader(job.data.train, training=True, shared=True)
    total = len(job.data.train) if loader.sampler is None else len(loader.sampler)
    done = steps_behind(state.seen, total, loader.batch_size, world_size=world_size())
    if done != state.step:
        batch = loader.batch_size * world_size()
        info(
            f"{state.seen} images of this epoch were seen in {state.step} steps; "
            f"in batches of {batch} that is step {done}"
        )
    return done
