"""What the scripts in ``tools/`` share: arguments, exit codes, and where output goes.

Results go to stdout (tables, or with ``--json`` one JSON value and nothing else), messages and progress to stderr.
Importing this module, and ``--help``, do not load Paddle.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as Path  # taken from here by the tools, which import nothing else
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from rich.console import Console, RenderableType
from rich.table import Table

from toolkit.core import interrupts
from toolkit.core.console import console
from toolkit.core.errors import ToolkitError
from toolkit.core.runtime import import_paddle

if TYPE_CHECKING:
    from toolkit.config import Config


Arguments: TypeAlias = argparse.Namespace
"""What a parser found. A tool takes this and ``Path`` from here: what it imports itself comes before our handler."""
_PAGE = 110
"""Columns of a table that goes to a file or a pipe: as wide as a page."""
_LONGEST_WORD = 24
"""Of which no word is folded for that."""


@dataclass(frozen=True)
class Outcome:
    """What a tool has to say at its end.

    Attributes:
        json: For machines: printed with ``--json``.
        text: For people: printed otherwise.
        exit_code: With which the tool leaves.
    """

    json: Any
    text: list[RenderableType] = field(default_factory=list)
    exit_code: int = 0


def make_parser(doc: str | None, *, config: bool = False, timeout: float | None = None) -> argparse.ArgumentParser:
    """A parser with the arguments that all tools have.

    Args:
        doc: The script's docstring: its description.
        config: Also take ``-c``, ``-o`` and ``--print-config``.
        timeout: Also take ``--timeout``, with this default, in seconds.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if config:
        parser.add_argument("-c", "--config", type=Path, metavar="YAML", help="the job's configuration")
        parser.add_argument(
            "-o",
            "--override",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="replace one value, for instance -o train.epochs=5 (repeatable; the value is YAML)",
        )
        parser.add_argument("--print-config", action="store_true", help="show the resolved configuration and stop")
    if timeout is not None:
        words = f"give up when no image could be read for S seconds (default {timeout:g})"
        parser.add_argument("--timeout", type=float, default=timeout, metavar="S", help=words)
    parser.add_argument("--json", action="store_true", help="print one JSON value to stdout and nothing else")
    return parser


def read_config(args: argparse.Namespace, default: Path | None = None, resume: str | None = None) -> Config:
    """The configuration that ``-c`` and ``-o`` ask for.

    Args:
        args: Parsed arguments.
        default: Used when ``-c`` was not given.
        resume: Folder of a run whose config is the default; ``auto`` names none.

    Raises:
        ConfigError: There is none, or it is wrong.
    """
    from toolkit.config import load_config
    from toolkit.core.errors import ConfigError

    run = getattr(args, "run", None)
    if run is not None and resume not in (None, "auto", run):
        raise ConfigError(f"two runs were given: {run} and {resume}", hint="leave one of them out")
    if run is not None and args.config is not None and not hasattr(args, "resume"):
        raise ConfigError(f"both a run ({run}) and a config ({args.config}) were given", hint="leave one of them out")
    run = run or (resume if resume != "auto" else None)
    if run is not None:
        default = run_config(run)
    path = args.config or default
    if path is None:
        raise ConfigError(
            "no configuration was given", hint="give one with -c, for instance -c configs/quickstart.yaml"
        )
    return load_config(run_config(path) if path.is_dir() else path, args.overrides)


def run_folder(path: Path | str) -> Path:
    """The folder of the run that is meant: the folder itself, or the ``config.yaml`` in it."""
    path = Path(path)
    return path.parent if path.name == "config.yaml" and not path.is_dir() else path


def run_config(path: Path | str) -> Path:
    """The ``config.yaml`` of the run that is meant.

    Raises:
        ConfigError: There is no run.
    """
    from toolkit.core.errors import ConfigError

    config = run_folder(path) / "config.yaml"
    if config.is_file():
        return config
    path = Path(path)
    is_yaml = path.suffix in (".yaml", ".yml") and path.is_file()
    hint = f"a configuration is given with -c: -c {shlex.quote(str(path))}" if is_yaml else "give a folder under runs/"
    raise ConfigError(f"{path}: no run here (config.yaml is missing)", hint=hint)


def resumed(args: argparse.Namespace) -> str | None:
    """The run to go on with, as it is named everywhere or by ``--resume``; ``auto`` for the newest."""
    wanted = args.run or args.resume
    return wanted if wanted in (None, "auto") else str(run_folder(wanted))


def checked_config(args: argparse.Namespace) -> Config:
    """The configuration, refused where it cannot work before Paddle is imported, which takes seconds.

    Raises:
        ConfigError: See ``read_config`` and ``check_early``.
    """
    from toolkit.config.early import check_early

    config = read_config(args, resume=getattr(args, "resume", None))
    check_early(config)
    return config


def check(args: argparse.Namespace) -> None:
    """For ``others`` of ``run``, where this process does the job: check its config and networks, if there are some.

    Raises:
        ConfigError: See ``checked_config``; or a network that is named does not exist.
    """
    from toolkit.config.early import check_network_name

    if getattr(args, "config", None) or getattr(args, "run", None):
        checked_config(args)
    named = [getattr(args, "network", None), *(getattr(args, "networks", None) or "").split(",")]
    for name in (text.partition("=")[0].strip() for text in named if text):
        if name:
            check_network_name(name)


def run(
    parser: argparse.ArgumentParser,
    job: Callable[[argparse.Namespace], Outcome],
    arguments: list[str] | None = None,
    *,
    paddle: bool = True,
    others: Callable[[argparse.Namespace], int | None] = lambda args: None,
) -> None:
    """Parse, work, print, and leave with the right exit code.

    Exit codes: 0 done, 1 failed, 2 bad arguments or configuration, 130 interrupted. Errors that a user can mend are one
    line without a traceback; anything else keeps its traceback.

    Args:
        parser: From ``make_parser``.
        job: Does the work.
        arguments: Instead of ``sys.argv[1:]``.
        paddle: The job needs Paddle.
        others: Called first: may let other processes do the job, and gives the code to leave with; None: it has not.
    """
    args = parser.parse_args(arguments)
    if not getattr(args, "config", True) and not getattr(args, "resume", True) and not getattr(args, "run", None):
        parser.error("give a configuration with -c, for instance -c configs/quickstart.yaml")
    try:
        code = None if getattr(args, "print_config", False) else others(args)
        if code is not None:
            sys.exit(code)
        with _stdout_reserved("utf-8" if args.json else sys.stdout.encoding) as stdout:
            outcome = _print_config(args) if getattr(args, "print_config", False) else _work(job, args, paddle)
            with _clear_when_full(stdout):
                _print(outcome, stdout, as_json=args.json)
                stdout.flush()
        if interrupts.run_as_tool():
            interrupts.leave_at_once()
        if outcome.exit_code:
            sys.exit(outcome.exit_code)
    except ToolkitError as error:
        console.quiet = False  # of all processes of a job, this one may be the one that knows
        console.print(f"error: {error.message}", style="red", markup=False)
        if error.hint:
            console.print(f"  {error.hint}", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("interrupted", style="red")
        sys.exit(interrupts.CODE)
    except BrokenPipeError:  # the reader has gone, as in `predict.py ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        name = str(error.filename)
        console.print(f"error: a name is too long: {name[:60]}... ({len(name)} characters)", style="red", markup=False)
        sys.exit(1)


def _work(job: Callable[[argparse.Namespace], Outcome], args: argparse.Namespace, paddle: bool) -> Outcome:
    if paddle:
        with interrupts.sigterm_waits():
            import_paddle()
    interrupts.raise_interrupts()
    return job(args)


def _print_config(args: argparse.Namespace) -> Outcome:
    from toolkit.config import dump_config

    config = read_config(args, resume=getattr(args, "resume", None))
    return Outcome(config.model_dump(mode="json"), [dump_config(config).rstrip()])


@contextmanager
def _stdout_reserved(encoding: str) -> Iterator[TextIO]:
    """Keep stdout for the result: what libraries print there meanwhile, from C++ too, goes to stderr."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        # a file name that is not UTF-8 holds lone surrogates: written as \udcXX, which JSON readers give back
        with os.fdopen(os.dup(real), "w", encoding=encoding, errors="backslashreplace") as stdout:
            yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


@contextmanager
def _clear_when_full(stdout: TextIO) -> Iterator[None]:
    """Turn a disk that has no room for the result into one clear line.

    Raises:
        ToolkitError: Instead of the ``OSError``.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # what is left in the buffer
        raise ToolkitError(
            f"cannot write the result to stdout: {error.strerror}", hint="the work itself is done; free some space"
        ) from error


def _print(outcome: Outcome, stdout: TextIO, *, as_json: bool) -> None:
    if as_json:
        stdout.write(json.dumps(outcome.json, ensure_ascii=False) + "\n")
        return
    out = Console(file=stdout, highlight=False, soft_wrap=not stdout.isatty())
    for item in outcome.text:
        if isinstance(item, Table) and not stdout.isatty():
            _fit_to_page(item)
        out.print(item, markup=False) if isinstance(item, str) else out.print(item)


def _fit_to_page(table: Table) -> None:
    """Make a table as wide as a page; what is too long, such as a path, is folded, and nothing is cut."""
    for column in table.columns:
        words = " ".join(str(cell) for cell in (column.header, *column.cells)).split()
        column.min_width = min(_LONGEST_WORD, max(map(len, words), default=1))
        column.overflow = "fold"
    needed = Console(width=10 * _PAGE).measure(table)
    table.width = min(max(_PAGE, needed.minimum), needed.maximum)
