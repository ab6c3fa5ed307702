"""Log one line of JSON per epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from toolkit.callbacks.epoch_log import EpochLog
from toolkit.core.errors import ConfigError
from toolkit.core.files import write_text


class JSONLLogger(EpochLog):
    """Writes ``{"epoch": 1, "lr": ..., "train/loss": ..., "val/loss": ...}``; non-finite numbers become null.

    Args:
        path: The file. Its folder is created.
    """

    def keep_until(self, epoch: int) -> None:
        """Drop the lines after an epoch.

        Raises:
            ConfigError: The file was not written by this callback.
        """
        kept: list[str] = []
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                epoch_number = int(json.loads(line)["epoch"])
            except (KeyError, RecursionError, TypeError, ValueError):
                raise ConfigError(
                    f"JSONLLogger: {self.path} was not written by it: line {len(kept) + 1} is not an epoch",
                    hint="move it away, or give another path",
                ) from None
            if epoch_number > epoch:
                break
            kept.append(line.decode())
        write_text(self.path, "".join(kept))

    def append(self, values: Mapping[str, float]) -> None:
        """Write a line."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(finite) + "\n")
