"""Pydantic's errors in the user's terms: file, key, what is wrong, and the nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from toolkit.config.schema import Config
from toolkit.core.names import did_you_mean

_WORDS = {
    "Input should be a valid integer, unable to parse string as an integer": "expected a whole number",
    "Input should be a valid number, unable to parse string as a number": "expected a number",
    "Input should be a valid boolean, unable to interpret input": "expected true or false",
    "Input should be a valid string": "expected text",
    "Input should be a valid tuple": "expected a list, for example [a, b]",
    "Field required": "is missing",
}


def describe_problems(
    error: ValidationError, data: Mapping[str, Any], origins: Mapping[str, str], where: str
) -> list[str]:
    """Return one line for each wrong key.

    Args:
        error: Pydantic's error.
        data: The nested dicts that were checked.
        origins: Dotted key -> file or override that set it.
        where: Origin to name for keys without one.
    """
    messages: dict[str, list[str]] = {}
    for item in error.errors():
        path = _key_path(item["loc"], data)
        message = _message(dict(item), path)
        seen = messages.setdefault(".".join(path) or "config", [])
        if message not in seen:
            seen.append(message)
    return [f"{_origin(key, origins, where)}: {key}: {' or '.join(found)}" for key, found in messages.items()]


def _key_path(loc: tuple[int | str, ...], data: Any) -> list[str]:
    """Return the part of pydantic's location that the user wrote (unions add their own tags)."""
    path: list[str] = []
    for position, part in enumerate(loc):
        in_mapping = isinstance(data, Mapping) and part in data
        in_list = isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data)
        if in_mapping or in_list:
            data = data[part]
        elif isinstance(data, Mapping) and position == len(loc) - 1 and part in _field_names(path):
            data = None
        else:
            continue
        path.append(str(part))
    return path


def _message(item: dict[str, Any], path: list[str]) -> str:
    if item["type"] == "extra_forbidden":
        names = _field_names(path[:-1])
        return f"unknown key; {did_you_mean(path[-1], names) or 'known are ' + ', '.join(sorted(names))}"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] in ("model_type", "model_attributes_type"):
        return "expected `key: value` lines"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    message = str(_WORDS.get(item["msg"], item["msg"].replace("Input should be", "expected")))
    if item["type"] == "string_pattern_mismatch":
        message = f"expected: {_description(path, item['loc'][-1])}"
    value = item["input"]
    if item["type"] == "literal_error" and isinstance(value, str):
        known = [word for word in item["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ") if word]
        guess = did_you_mean(value, known)
        message += f"; {guess}" if guess else ""
    return f"{message} (found {value!r})" if isinstance(value, (str, int, float, bool)) else message


def _description(path: list[str], name: str) -> str:
    """Return the description of a field, even if its section was written as one word."""
    models = [model for model in (_model_at(path), _model_at(path[:-1])) if model and name in model.model_fields]
    return str(models[0].model_fields[name].description).rstrip(".")


def _field_names(path: list[str]) -> list[str]:
    model = _model_at(path)
    return list(model.model_fields) if model else []


def _model_at(path: list[str]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Config
    for part in path:
        field = model.model_fields.get(part) if model else None
        if field is not None:
            model = _model_in(field.annotation)
        elif not part.isdigit():
            return None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the first section model inside Optional, Union, Annotated or tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _origin(key: str, origins: Mapping[str, str], where: str) -> str:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        origin = origins.get(".".join(parts[:length]))
        if origin:
            return origin
    return where
