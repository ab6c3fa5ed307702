"""Code shared by all commands: arguments, exit codes and output.

Results go to stdout (tables, or with ``--json`` one JSON value and nothing else), messages and progress to stderr.
Neither importing this module nor ``--help`` loads Paddle.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from rich.console import Console, RenderableType
from rich.table import Table

from toolkit.commands.arguments import read_config, sort_arguments
from toolkit.core import interrupts
from toolkit.core.console import console
from toolkit.core.errors import ToolkitError
from toolkit.core.runtime import NOT_BROUGHT, import_paddle

Arguments: TypeAlias = argparse.Namespace
"""Parsed arguments."""
_PAGE = 110
"""Width of a table that is written to a file or a pipe, about that of a page."""
_LONGEST_WORD = 24
"""Words up to this length are not folded to fit a table to the page."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command.

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
        parser.set_defaults(run=None, target=target, words=[])
    if timeout is not None:
        words = f"give up if no image can be read for S seconds (default {timeout:g})"
        parser.add_argument("--timeout", type=float, default=timeout, metavar="S", help=words)
    parser.add_argument("--json", action="store_true", help="print one JSON value to stdout and nothing else")
    return parser


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
