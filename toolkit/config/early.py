"""Quick checks of a config: an unknown network, a missing folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from toolkit.config.schema import Config
from toolkit.core.console import command
from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean

_ZOO = Path(__file__).resolve().parents[1] / "zoo"
_NEEDS_FOLDER = ("folder", "cub200")
_OF_FILES = (*_NEEDS_FOLDER, "list", "csv")


def check_early(config: Config) -> None:
    """Catch mistakes before Paddle is imported that would otherwise show up later.

    Raises:
        ConfigError: The network or ``data.root`` does not exist.
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
    """Refuse an unknown network, using the table of measured networks, because the zoo itself needs Paddle.

    Raises:
        ConfigError: The network does not exist.
    """
    known = _network_names()
    if name in known or f'"{name.removeprefix("clas/")}"' in _rows("clas/" in name):  # added but not yet measured
        return
    guess = did_you_mean(name, known, 3)
    own = ", ".join(other for other in known if "/" not in other)
    more = sum("/" in other for other in known)
    raise ConfigError(
        f"unknown network {name!r}{f'; {guess}' if guess else ''}",
        hint=f"known: {own}, and {more} of PaddleClas (clas/...); {command('models')} lists all",
    )


def check_several_networks(names: Sequence[str]) -> None:
    """Refuse to compare fewer than two networks, or one with itself.

    Args:
        names: Names, alone or as ``name=FILE``.

    Raises:
        ConfigError: There is only one name, or one is there twice.
    """
    plain = [name.partition("=")[0].strip() for name in names]
    if len(plain) < 2:
        raise ConfigError(
            f"--networks compares at least two networks, but {plain[0] if plain else 'none'} was given",
            hint="for example: --networks mobilenet_v2,resnet18; weights of your own as NAME=FILE",
        )
    twice = [name for name in dict.fromkeys(plain) if plain.count(name) > 1]
    if twice:
        raise ConfigError(f"--networks: {', '.join(twice)} was given more than once", hint="name each network once")


@cache
def _network_names() -> tuple[str, ...]:
    lines = (_ZOO / "measured.txt").read_text(encoding="utf-8").splitlines()[1:]
    return tuple(line.partition("\t")[0] for line in lines)


@cache
def _rows(of_clas: bool) -> str:
    paths = (path for path in sorted(_ZOO.glob("rows_*.py")) if path.name.startswith("rows_clas_") == of_clas)
    return "".join(path.read_text(encoding="utf-8") for path in paths)
