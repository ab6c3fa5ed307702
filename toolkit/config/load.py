"""Load YAML files and ``-o key=value`` overrides into one checked ``Config``, and dump it.

A YAML file may extend a ``base:`` (or a list of them; later ones win). Paths in ``base`` and in ``model.pretrained:
{config: ...}`` are relative to the file that contains them. All mistakes are reported together, each with its key and
the file or override that set it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolkit.config.messages import describe_problems
from toolkit.config.schema import Config
from toolkit.config.source_text import parse_config, parse_override
from toolkit.config.transfer import PRESET_ALIASES, aliases_in
from toolkit.core.console import info
from toolkit.core.errors import ConfigError
from toolkit.core.included import find_config, included_configs
from toolkit.core.names import did_you_mean
from toolkit.core.newer import is_newer, newer_error, writer_of

Origins = dict[str, str]
"""Dotted key -> the file or override that set it."""


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read, merge and check a configuration.

    Args:
        path: A YAML file, for example a run's own ``config.yaml``, or the name of an included configuration.
        overrides: ``dotted.key=value`` strings; values are YAML, or plain text for keys that only take text.

    Returns:
        The checked configuration. ``name`` defaults to the file's stem.

    Raises:
        ConfigError: A file cannot be read or the configuration is invalid; the message lists every problem.
        NewerError: It is that of a run by a newer version of the toolkit, and cannot be read.

    Example:
        >>> config = load_config("configs/quickstart.yaml", ["train.epochs=2"])  # doctest: +SKIP
    """
    path = Path(path)
    path = path if path.exists() else find_config(path) or path
    version = writer_of(path)
    try:
        return _load(path, overrides)
    except ConfigError:
        if is_newer(version) and not (overrides and _is_valid(path)):
            raise newer_error(path, version) from None
        raise


def _is_valid(path: Path) -> bool:
    try:
        _load(path)
    except ConfigError:
        return False
    return True


def _load(path: Path, overrides: Sequence[str] = ()) -> Config:
    origins: Origins = {}
    data = _read_with_bases(path, origins, seen=())
    data.setdefault("name", path.stem)
    for text in overrides:
        _apply_override(data, text, origins)
    return _validate(data, origins, where=str(path))


def make_config(data: Mapping[str, Any], where: str = "config") -> Config:
    """Check a configuration given as nested dicts.

    Raises:
        ConfigError: The configuration is invalid; the message lists every problem.
    """
    return _validate(dict(data), {}, where)


def with_overrides(config: Config, **sections: Mapping[str, Any] | Any) -> Config:
    """Return a checked copy of a config with some values replaced.

    Args:
        config: The config to start from.
        sections: Top-level values, or mappings that are merged into sections: ``train={"epochs": 2}``.
    """
    return make_config(_merge(config.model_dump(), sections), where=config.name)


def dump_config(config: Config) -> str:
    """Dump the resolved configuration as YAML text, which ``load_config`` reads back to an equal ``Config``."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def dump_changes(config: Config) -> str:
    """Dump the preset and what differs from the defaults, as YAML text that ``load_config`` reads back the same."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    values["transfer"] = {"preset": config.transfer.preset, **values.get("transfer", {})}
    ordered = {name: values[name] for name in Config.model_fields if name in values}
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def _parse(text: str, where: str, keys: Sequence[str] = ()) -> Any:
    try:
        return parse_override(keys, text, Config) if keys else parse_config(text, Config)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None


def _read_with_bases(path: Path, origins: Origins, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        chain = " -> ".join(str(p) for p in (*seen, path.resolve()))
        raise ConfigError(f"{path}: base files form a circle: {chain}", hint="remove one of the base: lines")
    try:
        data = _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        guess = None if path.exists() else did_you_mean(path.stem, included_configs())
        hint = guess or "give the path of a YAML file"
        raise ConfigError(f"cannot read the config {path}: {reason}", hint=hint) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found {type(data).__name__}")
    bases = data.pop("base", None) or []
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = _merge(merged, _read_with_bases(path.parent / str(base), origins, (*seen, path.resolve())))
    _anchor_source(data, path.parent)
    _note_origins(data, str(path), origins)
    return _merge(merged, data)


def _anchor_source(data: dict[str, Any], folder: Path) -> None:
    """Make ``model.pretrained.config`` an absolute path, independent of the file that set it."""
    model = data.get("model")
    pretrained = model.get("pretrained") if isinstance(model, dict) else None
    if isinstance(pretrained, dict) and isinstance(pretrained.get("config"), str):
        pretrained["config"] = str((folder / pretrained["config"]).resolve())


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _note_origins(data: Mapping[str, Any], where: str, origins: Origins, prefix: str = "") -> None:
    for key, value in data.items():
        origins[f"{prefix}{key}"] = where
        if isinstance(value, Mapping):
            _note_origins(value, where, origins, f"{prefix}{key}.")


def _apply_override(data: dict[str, Any], text: str, origins: Origins) -> None:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {text!r}: expected dotted.key=value", hint="for example -o train.epochs=5")
    section = data
    for part in parts[:-1]:
        if isinstance(section.get(part), str):  # a section written as one word
            short = {"model": "name", "transfer": "preset", "head": "type"}.get(part)
            section[part] = {short: section[part]} if short else {}
        elif not isinstance(section.get(part), dict):
            section[part] = {}
        section[part] = dict(section[part])
        section = section[part]
    section[parts[-1]] = _parse(value, f"override {text!r}", parts)
    origins[".".join(parts)] = f"-o {text}"
    if parts[:2] == ["model", "pretrained"]:
        _anchor_source(data, Path.cwd())


def _validate(data: dict[str, Any], origins: Origins, where: str) -> Config:
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = describe_problems(error, data, origins, where)
        raise ConfigError("\n".join(problems)) from None
    for alias in aliases_in(data.get("transfer")):
        note_alias(alias)
    return config


@cache
def note_alias(alias: str) -> None:
    """Say once which preset an earlier name means."""
    info(f"transfer.preset: {alias} is the plan {PRESET_ALIASES[alias]}")
