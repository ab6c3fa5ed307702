"""The folder of a run: where everything about it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.config import Config, ScheduleConfig, dump_config, load_config
from toolkit.core.console import command, info, warn
from toolkit.core.errors import ConfigError, ToolkitError, TrainingError
from toolkit.core.files import clear_os_errors, write_json, write_text
from toolkit.core.locking import FileLock, try_lock
from toolkit.core.runtime import is_main_process

_FREE_ON_RESUME = (
    "name",
    "output_dir",
    "cache",
    "log",
    "callbacks.remote_monitor",
    "export",
    "data.workers",
    "train.device",
    "transfer.compare",
    "transfer.compare_seeds",
    "data.timeout",
    "data.cache_images",
    "train.accumulate",
    "train.on_nan",
    "train.processes",
    "train.resume",
    "train.tta",
)
"""What does not decide the weights: another value is welcome when a run goes on."""
_CHANGEABLE_ON_RESUME = (
    "data.root",  # images that lie elsewhere now are compared with those of before
    "train.epochs",
    "train.lr",
    "train.scale_lr",
    *(f"train.{name}" for name in ScheduleConfig.model_fields),
    "train.amp",
    "train.amp_dtype",
    "train.fast_convolutions",
    "train.clip_norm",
    "train.clip_value",
    "callbacks",
)
"""What decides how training goes on, but fits what was trained: another value is allowed, and said."""


class RunFolder:
    """Paths and records of one run.

    Args:
        path: The folder. Use ``create`` for a new run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.record = path / "run.json"
        self.metrics = path / "metrics.jsonl"
        self.visualdl = path / "vdl"
        self.best = path / "checkpoints" / "best.pdparams"
        self.best_digest = path / "checkpoints" / "best.json"
        self.last = path / "checkpoints" / "last.safetensors"
        self.previous = path / "checkpoints" / "previous.safetensors"
        self.inference = path / "inference"
        self.report = path / "report.html"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a state to go on from."""
        return self.last.is_file() or self.previous.is_file()

    @property
    def resume_command(self) -> str:
        """What to type to go on with the run."""
        return command("train", "--resume", self.path)

    @property
    def use_commands(self) -> str:
        """What can be done with the best epoch of a run that was stopped, in lines of its own; empty without one."""
        if not self.best.is_file():
            return ""
        lines = [command(tool, self.path) for tool in ("report", "export")]
        return "".join(f"\n  its best epoch as it is: {line}" for line in lines)

    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Make a new folder ``output_dir/name``, or ``name-2``, ``name-3``, ... so that no earlier run is touched.

        Raises:
            ToolkitError: The folder cannot be written.
        """
        output = config.output_dir.expanduser()
        with clear_os_errors(str(output)):
            output.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                path = output / (config.name if number == 1 else f"{config.name}-{number}")
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
            folder = cls(path)
            write_text(folder.config, dump_config(config))
        return folder

    @classmethod
    def open(cls, path: Path | str, config: Config) -> RunFolder:
        """The folder of an earlier run of a config, to go on with it.

        Epochs, learning rate and callbacks may be others than at its beginning, and the data may lie elsewhere: see
        ``adopt``.

        Raises:
            TrainingError: There is no run in it.
            ConfigError: Its config is another one, in keys that decide what the network or the data are.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise TrainingError(f"{path}: no run here (config.yaml is missing)", hint="give a folder under runs/")
        differing = folder.differences(config)
        refused = [words for key, words in differing.items() if not _below(key, _CHANGEABLE_ON_RESUME)]
        if refused:
            raise ConfigError(
                f"{path} was begun with another {'; another '.join(refused)}",
                hint="leave -c and -o out to go on with it, or --resume to begin another run",
            )
        return folder

    def adopt(self, config: Config) -> None:
        """Make another config the run's, where it differs in what may change; a line says so."""
        differing = self.differences(config)
        if differing and is_main_process():
            info(f"{self.path} goes on with another {'; another '.join(differing.values())}")
            with clear_os_errors(str(self.config)):
                write_text(self.config, dump_config(config))

    def differences(self, config: Config) -> dict[str, str]:
        """Keys that decide the weights and have another value in this run's config, each with words on both."""
        was, wanted = (flat(each.model_dump(mode="json")) for each in (load_config(self.config), config))
        return {
            key: f"{key}: {was.get(key)}, not {wanted.get(key)}"
            for key in sorted(was.keys() | wanted.keys())
            if was.get(key) != wanted.get(key) and not _below(key, _FREE_ON_RESUME)
        }

    def lock(self) -> FileLock | None:
        """Keep other processes out until the lock is released; None in all but the main process of a job.

        Raises:
            TrainingError: Another process trains in this folder.
        """
        if not is_main_process():
            return None
        with clear_os_errors(str(self.path)):
            held = try_lock(self.path / ".lock")
        if held is None:
            raise TrainingError(
                f"{self.path} is in use: another process trains in it",
                hint="wait for its end, or begin another run under another name",
            )
        return held

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        if not is_main_process():
            return
        with clear_os_errors(str(self.metrics)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop the lines after an epoch (1-based), and those that cannot be read; for a resumed run."""
        if self.metrics.is_file() and is_main_process():
            kept = [line for line in self.read_metrics() if line["epoch"] <= epoch]
            with clear_os_errors(str(self.metrics)):
                write_text(self.metrics, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; those that a full disk or a crash has cut or filled with zeros are left out.

        A last line without an end is left out without a word: a kill leaves one.
        """
        if not self.metrics.is_file():
            return []
        *whole, _ = self.metrics.read_bytes().split(b"\n")
        lines = [_parsed_line(line) for line in whole if line.strip()]
        found = [line for line in lines if line is not None]
        if len(found) < len(lines):
            warn(f"{self.metrics}: {len(lines) - len(found)} line(s) are damaged and left out")
        return found

    def write_record(self, record: dict[str, Any]) -> None:
        """Write ``run.json``."""
        if not is_main_process():
            return
        with clear_os_errors(str(self.record)):
            write_json(self.record, record)

    def read_record(self) -> dict[str, Any]:
        """Read ``run.json``; empty when there is none yet.

        Raises:
            TrainingError: It is damaged, or may not be read.
        """
        if not self.record.is_file():
            return {}
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, RecursionError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no JSON"
            raise TrainingError(f"{self.record} cannot be read: {why}", hint=self._record_cure) from error
        if not isinstance(record, dict):
            raise TrainingError(f"{self.record} cannot be read: it is no record of a run", hint=self._record_cure)
        return record

    @property
    def _record_cure(self) -> str:
        best = shlex.quote(str(self.best))
        return f"restore it from a copy, or begin another run; to start from this one: -o model.pretrained={best}"

    @contextmanager
    def passed_over(self) -> Iterator[None]:
        """For one who looks through many runs: a damaged one is said, and does not stop the others."""
        try:
            yield
        except ToolkitError as error:
            warn(f"{self.path} is passed over: {error.message}")


def _parsed_line(line: bytes) -> dict[str, Any] | None:
    """A line of ``metrics.jsonl``; None where it is no such line."""
    try:
        found = json.loads(line)
    except (RecursionError, ValueError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("epoch"), int)
    return found if whole else None


def _below(key: str, sections: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of some keys, or in one of some sections."""
    return any(f"{key}.".startswith(f"{each}.") for each in sections)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return found
