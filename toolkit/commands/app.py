"""Code shared by all commands: arguments, exit codes and output.

Results go to stdout (tables, or with ``--json`` one JSON value and nothing else), messages and progress to stderr.
Neither importing this module nor ``--help`` loads Paddle.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from rich.console import Console, RenderableType
from rich.table import Table

from toolkit.commands.configs import find_config
from toolkit.core import interrupts
from toolkit.core.console import command, console
from toolkit.core.errors import ConfigError, ToolkitError
from toolkit.core.runtime import NOT_BROUGHT, import_paddle

if TYPE_CHECKING:
    from toolkit.config import Config


Arguments: TypeAlias = argparse.Namespace
"""Parsed arguments."""
_PAGE = 110
"""Width of a table that is written to a file or a pipe, about that of a page."""
_LONGEST_WORD = 24
"""Words up to this length are not folded to fit a table to the page."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a tool.

    Attributes:
        json: Value to print with ``--json``.
        text: Text and tables to print otherwise.
        exit_code: Exit code.
    """

    json: Any
    text: list[RenderableType] = field(default_factory=list)
    exit_code: int = 0


def make_parser(
    doc: str, *, prog: str | None = None, target: str | None = None, timeout: float | None = None
) -> argparse.ArgumentParser:
    """Make a parser with the arguments shared by all commands.

    Args:
        doc: Description, shown by ``--help``.
        prog: Program, shown by ``--help``.
        target: For commands that take a configuration (``-c``, ``-o``, ``KEY=VALUE``): ``config`` if the first
            argument may be a run, a YAML file or a folder of images, ``run`` if it must be a run.
        timeout: Add ``--timeout`` with this default, in seconds.
    """
    parser = argparse.ArgumentParser(prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if target is not None:
        metavar = "RUN" if target == "run" else "FOLDER|YAML|RUN"
        words = {"run": "a run's folder", "config": "a folder of images, a configuration, or a run"}[target]
        parser.add_argument("given", nargs="*", metavar=metavar, help=f"{words}; then KEY=VALUE as with -o")
        parser.add_argument(
            "-c", "--config", type=Path, metavar="YAML", help="a configuration, or the name of one that is included"
        )
        parser.add_argument(
            "-o",
            "--override",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override one value, for example -o train.epochs=5 (repeatable; the value is YAML)",
        )
        parser.add_argument("--print-config", action="store_true", help="show the resolved configuration and stop")
        parser.set_defaults(run=None, images_root=None, target=target)
    if timeout is not None:
        words = f"give up if no image can be read for S seconds (default {timeout:g})"
        parser.add_argument("--timeout", type=float, default=timeout, metavar="S", help=words)
    parser.add_argument("--json", action="store_true", help="print one JSON value to stdout and nothing else")
    return parser


_OVERRIDE = re.compile(r"[a-z_][a-z0-9_]*(\.[^=/\\]+)*=")


def sort_arguments(args: argparse.Namespace) -> None:
    """Sort what was given without an option into ``run``, ``config``, ``images_root`` and ``overrides``.

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
    if not targets:
        return
    path = Path(targets[0])
    if args.target == "run" or (run_folder(path) / "config.yaml").is_file():
        args.run = path
    elif path.suffix.lower() in (".yaml", ".yml") or (not path.exists() and find_config(path) is not None):
        if args.config is not None:
            raise ConfigError(f"two configurations were given: {path} and {args.config}", hint="leave out one of them")
        args.config = path
    elif args.config is None and path.is_dir():
        args.images_root = path
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
    path, overrides = args.config or default, args.overrides
    if args.images_root is not None:
        path, overrides = Path("folder"), [*_folder_values(args.images_root), *overrides]
    if path is None:
        hint = f"give a folder of images, as in {command('train', 'FOLDER')}; {command('configs')} lists configurations"
        raise ConfigError("no configuration was given", hint=hint)
    if not (path.is_dir() and (path / "config.yaml").is_file()) and not path.is_file():
        path = find_config(path) or path
    return load_config(run_config(path) if path.is_dir() else path, overrides)


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


def checked_config(args: argparse.Namespace) -> Config:
    """Load the configuration and check it before Paddle is imported, which takes seconds.

    Raises:
        ConfigError: See ``read_config`` and ``check_early``.
    """
    from toolkit.config.early import check_early

    config = read_config(args, resume=getattr(args, "resume", None))
    check_early(config)
    return config


def check(args: argparse.Namespace) -> None:
    """Check the config and the networks in the arguments, if any; for ``others`` of ``run``.

    Raises:
        ConfigError: See ``checked_config``; or a network does not exist.
    """
    from toolkit.config.early import check_network_name

    if any(getattr(args, name, None) for name in ("config", "run", "images_root")):
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
    """Parse arguments, run the job, print its outcome, and exit with the right code.

    Exit codes: 0 done, 1 failed, 2 bad arguments or configuration, 130 interrupted. Errors that a user can fix are
    printed as one line without a traceback; all others keep their traceback.

    Args:
        parser: Parser from ``make_parser``.
        job: Function that does the work.
        arguments: Arguments to use instead of ``sys.argv[1:]``.
        paddle: Whether the job needs Paddle.
        others: Called first; may delegate the job to other processes and return their exit code, or None to do it here.
    """
    args = parser.parse_intermixed_args(arguments)
    try:
        if hasattr(args, "given"):
            sort_arguments(args)
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
        console.quiet = False  # this process may be the only one of a job that knows
        console.print(f"error: {error.message}", style="red", markup=False)
        if error.hint:
            console.print(f"  {error.hint}", markup=False)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in NOT_BROUGHT:
            raise
        console.print(f"error: {NOT_BROUGHT[error.name]}", style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted", style="red")
        sys.exit(interrupts.CODE)
    except BrokenPipeError:  # the reader is gone, as in `predict.py ... | head`
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
    """Reserve stdout for the result: anything that libraries print there, even from C++, goes to stderr."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        # file names that are not UTF-8 contain lone surrogates: write them as \udcXX, which JSON readers restore
        with os.fdopen(os.dup(real), "w", encoding=encoding, errors="backslashreplace") as stdout:
            yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


@contextmanager
def _clear_when_full(stdout: TextIO) -> Iterator[None]:
    """Report a full disk in one clear line.

    Raises:
        ToolkitError: Instead of the ``OSError``.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # discard the rest of the buffer
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
    """Fit a table to the width of a page, folding long cells such as paths instead of truncating them."""
    for column in table.columns:
        words = " ".join(str(cell) for cell in (column.header, *column.cells)).split()
        column.min_width = min(_LONGEST_WORD, max(map(len, words), default=1))
        column.overflow = "fold"
    needed = Console(width=10 * _PAGE).measure(table)
    table.width = min(max(_PAGE, needed.minimum), needed.maximum)
