"""The command ``cache``: list, prune and verify the feature cache."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from toolkit.cache import EntryInfo, FeatureStore, Problem
from toolkit.commands.app import Outcome
from toolkit.config import CacheConfig
from toolkit.core.console import command, new_table
from toolkit.core.errors import ConfigError

_OPTIONS = {"list": (), "prune": ("--max-size", "--older-than", "--all"), "verify": ("--fix",)}
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def manage(
    action: Literal["list", "prune", "verify"],
    folder: Path | None = None,
    max_size: str | None = None,
    older_than: str | None = None,
    everything: bool = False,
    fix: bool = False,
) -> Outcome:
    """Run one of the actions with its options.

    Args:
        action: The action.
        folder: Folder of the cache; None: the default of the configuration.
        max_size: ``prune`` only.
        older_than: ``prune`` only.
        everything: ``prune`` only.
        fix: ``verify`` only.

    Raises:
        ConfigError: An option belongs to another action.
    """
    folder = (folder or CacheConfig().dir).expanduser()
    given = {"--max-size": max_size, "--older-than": older_than, "--all": everything, "--fix": fix}
    misplaced = [name for name, value in given.items() if value and name not in _OPTIONS[action]]
    if misplaced:
        owner = next(name for name, options in _OPTIONS.items() if misplaced[0] in options)
        raise ConfigError(f"{action} does not accept {', '.join(misplaced)}", hint=f"it belongs to {owner}")
    if action == "prune":
        return prune_cache(folder, max_size, older_than, everything)
    return list_cache(folder) if action == "list" else verify_cache(folder, fix)


def list_cache(folder: Path) -> Outcome:
    """List the entries, the most recently used first.

    Args:
        folder: The cache.
    """
    entries = FeatureStore(folder).list()[::-1]
    total = sum(entry.bytes for entry in entries)
    payload = {"dir": str(folder), "bytes": total, "entries": [entry.to_json() for entry in entries]}
    if not entries:
        return Outcome(payload, [f"{folder}: no features"])
    examples = [command("cache", *words, *_where(folder)) for words in (("prune", "--max-size", "5GB"), ("verify",))]
    return Outcome(payload, [_entries_table(folder, total, entries), f"try: {examples[0]}", f"or:  {examples[1]}"])


def prune_cache(folder: Path, max_size: str | None, older_than: str | None, everything: bool) -> Outcome:
    """Remove the least recently used features.

    Args:
        folder: The cache.
        max_size: Prune down to this size, for example ``5GB``.
        older_than: Remove features not used for this long, for example ``30d``.
        everything: Remove all features that no running process uses.

    Raises:
        ConfigError: No option was given, or a value is invalid.
    """
    if max_size is None and older_than is None and not everything:
        raise ConfigError("prune: what should be removed?", hint="give --max-size 5GB, --older-than 30d, or --all")
    size = None if max_size is None else _size(max_size)
    age = None if older_than is None else _age(older_than)
    store = FeatureStore(folder)
    freed = store.prune(size, age, everything)
    left = store.list()
    rest = sum(entry.bytes for entry in left)
    payload = {"dir": str(folder), "freed": freed, "bytes": rest, "entries": len(left)}
    return Outcome(payload, [f"{folder}: {decimal(freed)} freed, {decimal(rest)} in {len(left)} entries left"])


def verify_cache(folder: Path, fix: bool) -> Outcome:
    """Read every file and verify its checksum.

    Args:
        folder: The cache.
        fix: Remove damaged files.

    Returns:
        The outcome, with exit code 1 if problems remain.
    """
    store = FeatureStore(folder)
    problems = store.verify(fix)
    payload = {"dir": str(folder), "problems": [problem.to_json() for problem in problems]}
    if not problems:
        return Outcome(payload, [f"{folder}: {len(store.list())} entries, no problems"])
    left = any(not problem.fixed for problem in problems)
    text: list[Any] = [_problems_table(folder, problems)]
    text += [f"remove what is damaged: {command('cache', 'verify', '--fix', *_where(folder))}"] if left else []
    return Outcome(payload, text, exit_code=1 if left else 0)


def _where(folder: Path) -> list[str]:
    """Return the option that names a folder other than the default."""
    return [] if folder == CacheConfig().dir.expanduser() else ["--dir", str(folder)]


def _size(text: str) -> int:
    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        raise ConfigError(f"--max-size: expected a size like 5GB (found {text!r})") from None


def _age(text: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([mhdw])\s*", text.lower())
    if found is None:
        raise ConfigError(f"--older-than: expected an age like 30d, in m, h, d or w (found {text!r})")
    return float(found[1]) * _SECONDS[found[2]]


def _entries_table(folder: Path, total: int, entries: list[EntryInfo]) -> Table:
    table = new_table(
        f"{escape(str(folder))}: {decimal(total)}", "key", "network", "stage", "set", "images", "view", "dtype", "size",
        "last used", "complete", numeric=("images", "size"),
    )  # fmt: skip
    for entry in entries:
        facts = entry.facts
        stage = f"{facts.get('stage', '?')}{' (pooled)' if facts.get('pooled') else ''}"
        view = str(facts.get("view") or "centre")
        state = entry.problem or ("yes" if entry.complete else "no")
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        words = [str(facts.get("network", "?")), stage, str(facts.get("title", "")), str(entry.rows), view]
        words += [str(facts.get("dtype", "?")), decimal(entry.bytes), used, state]
        table.add_row(entry.key[:8], *map(escape, words))
    return table


def _problems_table(folder: Path, problems: list[Problem]) -> Table:
    table = new_table(f"{escape(str(folder))} problems: {len(problems)}", "key", "file", "problem", "removed")
    for problem in problems:
        table.add_row(problem.key[:8], escape(problem.file), escape(problem.what), "yes" if problem.fixed else "no")
    return table
