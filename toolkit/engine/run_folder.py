"""The folder of a run: where everything about it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.config import Config, dump_config
from toolkit.errors import TrainingError
from toolkit.files import clear_os_errors, write_json, write_text

__all__ = ["RunFolder"]


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
    def open(cls, path: Path | str) -> RunFolder:
        """The folder of an earlier run.

        Raises:
            TrainingError: There is no run in it.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise TrainingError(f"{path}: no run here (config.yaml is missing)", hint="give a folder under runs/")
        return folder

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with clear_os_errors(str(self.metrics)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop the lines after an epoch (1-based); for a resumed run."""
        if self.metrics.is_file():
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.metrics, "".join(line for line in lines if json.loads(line)["epoch"] <= epoch))

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
