"""What a command's arguments name: a run, a configuration, a folder of images, and values to override."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.core.console import command, info
from toolkit.core.errors import ConfigError
from toolkit.core.included import find_config

if TYPE_CHECKING:
    from toolkit.config import Config

_OVERRIDE = re.compile(r"[a-z_][a-z0-9_]*(\.[^=/\\]+)*=")


def sort_arguments(args: argparse.Namespace) -> None:
    """Sort what was given without an option into ``run``, ``config`` and ``overrides``.

    A folder of images becomes the included configuration ``folder`` with overrides. An included configuration is
    replaced by its file, with a message. ``words`` becomes the arguments that name the same job to ``train``.

    Raises:
        ConfigError: More than one run, configuration or folder was given.
    """
    targets = []
    for word in args.given:
        if _OVERRIDE.match(word) and not Path(word).exists():
            args.overrides.append(word)
        else:
            targets.append(word)
    if len(targets) > 1:
        example = "" if args.target == "run" else "; to change a value, write KEY=VALUE, for example train.epochs=5"
        raise ConfigError(f"two were given: {targets[0]} and {targets[1]}", hint=f"leave out one of them{example}")
    asked, config = list(args.overrides), args.config
    if targets:
        _take_target(args, Path(targets[0]))
    args.words = [*_job_words(args, targets, config), *_override_words(asked)]
    included = None if args.config is None or args.config.exists() else find_config(args.config)
    if included is not None:
        info(f"configuration: {included}")
        args.config = included


def _job_words(args: argparse.Namespace, targets: list[str], config: Path | None) -> list[str]:
    if args.run is not None:
        return ["-c", str(run_folder(args.run) / "config.yaml")]  # the run itself would be resumed
    if targets:
        return [targets[0]] if Path(targets[0]).is_dir() else ["-c", targets[0]]
    return [] if config is None else ["-c", str(config)]


def _override_words(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from [text] if _OVERRIDE.match(text) and not Path(text).exists() else ["-o", text]


def _take_target(args: argparse.Namespace, path: Path) -> None:
    if args.target == "run" or (run_folder(path) / "config.yaml").is_file():
        args.run = path
    elif path.suffix.lower() in (".yaml", ".yml") or (not path.exists() and find_config(path) is not None):
        if args.config is not None:
            raise ConfigError(f"two configurations were given: {path} and {args.config}", hint="leave out one of them")
        args.config = path
    elif args.config is None and path.is_dir() and not any(path.glob("*/config.yaml")):  # a folder of runs
        info(f"{path} is a folder of images: as the included configuration 'folder', changed by KEY=VALUE")
        args.config, args.overrides = Path("folder"), [*_folder_values(path), *args.overrides]
    else:
        args.run = path


def read_config(args: argparse.Namespace, default: Path | None = None, resume: str | None = None) -> Config:
    """Load the configuration that the arguments name.

    Args:
        args: Parsed and sorted arguments.
        default: Used if there is none.
        resume: Folder of a run whose config is the default, or ``auto``, which names no run.

    Raises:
        ConfigError: There is no configuration, or it is invalid.
    """
    from toolkit.config import load_config

    run = args.run
    if run is not None and resume not in (None, "auto", str(run)):
        raise ConfigError(f"two runs were given: {run} and {resume}", hint="leave out one of them")
    if run is not None and args.config is not None and not hasattr(args, "resume"):
        raise ConfigError(f"both a run ({run}) and a config ({args.config}) were given", hint="leave out one of them")
    run = run or (resume if resume != "auto" else None)
    if run is not None:
        default = run_config(run)
    path = args.config or default
    if path is None:
        hint = f"give a folder of images, as in {command('train', 'FOLDER')}; {command('configs')} lists configurations"
        raise ConfigError("no configuration was given", hint=hint)
    return load_config(run_config(path) if path.is_dir() else path, args.overrides)


def _folder_values(root: Path) -> list[str]:
    """The values that make the template ``folder`` a job on a folder of images."""
    name = root.resolve().name.lstrip(".") or "images"
    return [f"data.root={json.dumps(str(root))}", f"name={json.dumps(name)}"]


def run_folder(path: Path | str) -> Path:
    """Return the folder of a run, given the folder or the ``config.yaml`` in it."""
    path = Path(path)
    return path.parent if path.name == "config.yaml" and not path.is_dir() else path


def run_config(path: Path | str) -> Path:
    """Return the ``config.yaml`` of a run, given its folder or the file itself.

    Raises:
        ConfigError: The folder is not a run.
    """
    config = run_folder(path) / "config.yaml"
    if config.is_file():
        return config
    path = Path(path)
    is_yaml = path.suffix in (".yaml", ".yml") and path.is_file()
    hint = f"to give a configuration, use -c {shlex.quote(str(path))}" if is_yaml else "give a folder under runs/"
    raise ConfigError(f"{path}: no run here (config.yaml is missing)", hint=hint)


def resumed(args: argparse.Namespace) -> str | None:
    """Return the run to resume, named as an argument or with ``--resume``; ``auto`` for the newest."""
    wanted = str(args.run or args.resume or "") or None
    return wanted if wanted in (None, "auto") else str(run_folder(wanted))
