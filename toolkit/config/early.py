"""What can be seen of a config in a moment: a network that does not exist, a folder that is not there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from toolkit.config.schema import Config
from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean

_ZOO = Path(__file__).resolve().parents[1] / "zoo"
_NEEDS_FOLDER = ("folder", "cub200")
_OF_FILES = (*_NEEDS_FOLDER, "list", "csv")


def check_early(config: Config) -> None:
    """Refuse what would be refused later, before Paddle is imported.

    Raises:
        ConfigError: There is no such network, or no such ``data.root``.
    """
    check_network_name(config.model.name)
    data = config.data
    if data.root is None:
        if data.format in _NEEDS_FOLDER:
            raise ConfigError(
                f"data.root is not set, and data.format {data.format} needs it", hint="set data.root to the folder"
            )
        return
    root = data.root.expanduser()
    if data.format not in _OF_FILES or root.exists():
        return
    siblings = [entry.name for entry in root.parent.iterdir() if entry.is_dir()] if root.parent.is_dir() else []
    raise ConfigError(f"data.root {root} does not exist", hint=did_you_mean(root.name, siblings) or "check data.root")


def check_network_name(name: str) -> None:
    """Refuse an unknown network, from the table of what was measured of all: the zoo itself needs Paddle.

    Raises:
        ConfigError: There is none of this name.
    """
    known = _network_names()
    if name in known or f'"{name.removeprefix("clas/")}"' in _rows(
        "clas/" in name
    ):  # a row that was added and not measured yet
        return
    guess = did_you_mean(name, known, 3)
    own = ", ".join(other for other in known if "/" not in other)
    more = sum("/" in other for other in known)
    raise ConfigError(
        f"unknown network {name!r}{f'; {guess}' if guess else ''}",
        hint=f"known: {own}, and {more} of PaddleClas (clas/...); python tools/models.py lists all",
    )


@cache
def _network_names() -> tuple[str, ...]:
    lines = (_ZOO / "measured.txt").read_text(encoding="utf-8").splitlines()[1:]
    return tuple(line.partition("\t")[0] for line in lines)


@cache
def _rows(of_clas: bool) -> str:
    paths = (path for path in sorted(_ZOO.glob("rows_*.py")) if path.name.startswith("rows_clas_") == of_clas)
    return "".join(path.read_text(encoding="utf-8") for path in paths)
