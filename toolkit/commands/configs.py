"""The command ``configs``: list the configurations that come with the toolkit."""

from __future__ import annotations

from rich.markup import escape

from toolkit.commands.app import Outcome
from toolkit.core.console import command, new_table
from toolkit.core.included import included_configs


def configs() -> Outcome:
    """List them by name, with the first line of each."""
    table, found = new_table("included configurations", "name", "what it is for"), included_configs()
    for name, path in found.items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        table.add_row(name, escape(first.lstrip("# ").removeprefix(f"{name}: ")))
    example = f"use one by its name: {command('train', '-c', 'quickstart')}"
    return Outcome({name: str(path) for name, path in found.items()}, [table, example])
