"""The folder of a run: where everything about it stands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from toolkit.config import Config, dump_config, load_config
from toolkit.errors import ConfigError, TrainingError
from toolkit.files import clear_os_errors, write_json, write_text

__all__ = ["RunFolder"]

_FREE_ON_RESUME = (
    "name",
    "output_dir",
    "cache",
    "log.every",
    "log.sample_images",
    "export",
    "data.workers",
    "train.device",
    "transfer.compare",
    "transfer.compare_seeds",
)
"""What does not decide the weights: another value is welcome when a run goes on."""


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
        self.last = path / "checkpoints" / "last.safetensors"
        self.inference = path / "inference"

    @property
    def resume_command(self) -> str:
        """What to type to go on with the run."""
        return f"python tools/train.py --resume {shlex.quote(str(self.path))}"

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

        Raises:
            TrainingError: There is no run in it.
            ConfigError: Its config is another one, in a key that decides the weights.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise TrainingError(f"{path}: no run here (config.yaml is missing)", hint="give a folder under runs/")
        differing = folder.differing_key(config)
        if differing:
            raise ConfigError(
                f"{path} was begun with another {differing}",
                hint="leave -c and -o out to go on with it, or --resume to begin another run",
            )
        return folder

    def differing_key(self, config: Config) -> str | None:
        """The first key that decides the weights and has another value in this run's config; None for none."""
        was, wanted = (_flat(each.model_dump(mode="json")) for each in (load_config(self.config), config))
        for key in sorted(was.keys() | wanted.keys()):
            free = any(f"{key}.".startswith(f"{each}.") for each in _FREE_ON_RESUME)
            if was.get(key) != wanted.get(key) and not free:
                return f"{key}: {was.get(key)}, not {wanted.get(key)}"
        return None

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with clear_os_errors(str(self.metrics)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop the lines after an epoch (1-based); for a resumed run."""
        if self.metrics.is_file():
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a full disk cuts the last one
            with clear_os_errors(str(self.metrics)):
                write_text(self.metrics, "".join(line for line in whole if json.loads(line)["epoch"] <= epoch))

    def write_record(self, record: dict[str, Any]) -> None:
        """Write ``run.json``."""
        with clear_os_errors(str(self.record)):
            write_json(self.record, record)

    def read_record(self) -> dict[str, Any]:
        """Read ``run.json``; empty when the run was not finished."""
        if not self.record.is_file():
            return {}
        record: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        return record


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
