"""The folder of a run, which holds everything about it."""

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
from toolkit.core.newer import record_version, refuse_newer
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
"""Keys that do not affect the weights: any value is allowed when a run is resumed."""
_CHANGEABLE_ON_RESUME = (
    "data.root",  # images that moved are compared with the earlier ones
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
"""Keys that affect further training but fit the trained state: other values are allowed, with a message."""


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
        """Whether there is a state to resume from."""
        return self.last.is_file() or self.previous.is_file()

    @property
    def resume_command(self) -> str:
        """The command that resumes the run."""
        return command("train", "--resume", self.path)

    @property
    def use_commands(self) -> str:
        """Commands for using the best epoch of a stopped run, on separate lines; empty without one."""
        if not self.best.is_file():
            return ""
        lines = [command(tool, self.path) for tool in ("report", "export")]
        return "".join(f"\n  use its best epoch: {line}" for line in lines)

    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Create a new folder ``output_dir/name``, or ``name-2``, ``name-3``, ... leaving earlier runs untouched.

        Raises:
            ToolkitError: The folder cannot be written.
        """
        output = config.output_dir.expanduser()
        with clear_os_errors(str(output)):
            output.mkdir(parents=True, exist_ok=True)
            suffix = 1
            while True:
                path = output / (config.name if suffix == 1 else f"{config.name}-{suffix}")
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    suffix += 1
            folder = cls(path)
            write_text(folder.config, dump_config(config))
        return folder

    @classmethod
    def open(cls, path: Path | str, config: Config) -> RunFolder:
        """Open the folder of an earlier run of a config, to resume it.

        Epochs, learning rate and callbacks may differ from the original ones, and the data may have moved: see
        ``adopt``.

        Raises:
            TrainingError: The folder has no run.
            ConfigError: Its config differs in keys that determine the network or the data.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise TrainingError(f"{path}: no run here (config.yaml is missing)", hint="give a folder under runs/")
        differing = folder.differences(config)
        refused = [words for key, words in differing.items() if not _below(key, _CHANGEABLE_ON_RESUME)]
        if refused:
            raise ConfigError(
                f"{path} was started with another {'; another '.join(refused)}",
                hint="omit -c and -o to resume it, or --resume to start another run",
            )
        return folder

    def adopt(self, config: Config) -> None:
        """Adopt another config, which may differ in changeable keys; reports the differences."""
        differing = self.differences(config)
        if differing and is_main_process():
            info(f"{self.path} continues with another {'; another '.join(differing.values())}")
            with clear_os_errors(str(self.config)):
                write_text(self.config, dump_config(config))

    def differences(self, config: Config) -> dict[str, str]:
        """Keys that affect the weights and differ from this run's config, each with a description."""
        was, wanted = (flat(c.model_dump(mode="json")) for c in (load_config(self.config), config))
        return {
            key: f"{key}: {was.get(key)}, not {wanted.get(key)}"
            for key in sorted(was.keys() | wanted.keys())
            if was.get(key) != wanted.get(key) and not _below(key, _FREE_ON_RESUME)
        }

    def lock(self) -> FileLock | None:
        """Lock the folder against other processes until released; None except on the main process of a job.

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
                hint="wait for it to end, or start a run under another name",
            )
        return held

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        if not is_main_process():
            return
        with clear_os_errors(str(self.metrics)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop lines after an epoch (1-based) and unreadable ones, for a resumed run."""
        if self.metrics.is_file() and is_main_process():
            kept = [line for line in self.read_metrics() if line["epoch"] <= epoch]
            with clear_os_errors(str(self.metrics)):
                write_text(self.metrics, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read the lines of ``metrics.jsonl``, skipping those cut or zero-filled by a full disk or a crash.

        An unterminated last line, as left by a kill, is skipped silently.
        """
        if not self.metrics.is_file():
            return []
        *whole, _ = self.metrics.read_bytes().split(b"\n")
        lines = [_parsed_line(line) for line in whole if line.strip()]
        intact = [line for line in lines if line is not None]
        if len(intact) < len(lines):
            warn(f"{self.metrics}: {len(lines) - len(intact)} line(s) are damaged and skipped")
        return intact

    def write_record(self, record: dict[str, Any]) -> None:
        """Write ``run.json``."""
        if not is_main_process():
            return
        with clear_os_errors(str(self.record)):
            write_json(self.record, record)

    def read_record(self) -> dict[str, Any]:
        """Read ``run.json``; empty if there is none yet.

        Raises:
            TrainingError: The record is damaged or not readable.
            NewerError: A newer version of the toolkit wrote it, in another format.
        """
        if not self.record.is_file():
            return {}
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, RecursionError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not valid JSON"
            raise TrainingError(f"{self.record} cannot be read: {why}", hint=self._record_cure) from error
        if not isinstance(record, dict):
            raise TrainingError(f"{self.record} cannot be read: it is not the record of a run", hint=self._record_cure)
        refuse_newer(self.record, record.get("format"), record_version(record))
        return record

    @property
    def _record_cure(self) -> str:
        best = shlex.quote(str(self.best))
        return f"restore it from a copy, or start another run; to start from this one: -o model.pretrained={best}"

    @contextmanager
    def passed_over(self) -> Iterator[None]:
        """Report a damaged run instead of failing, for callers that scan many runs."""
        try:
            yield
        except ToolkitError as error:
            warn(f"{self.path} is skipped: {error.message}")


def _parsed_line(line: bytes) -> dict[str, Any] | None:
    """Parse a line of ``metrics.jsonl``; None if it is not one."""
    try:
        parsed = json.loads(line)
    except (RecursionError, ValueError):
        return None
    whole = isinstance(parsed, dict) and isinstance(parsed.get("epoch"), int)
    return parsed if whole else None


def _below(key: str, sections: tuple[str, ...]) -> bool:
    """Whether a dotted key is among the given keys or in one of the given sections."""
    return any(f"{key}.".startswith(f"{section}.") for section in sections)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts to dotted keys."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        flattened.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flattened
