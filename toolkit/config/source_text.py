"""Keep text where text is expected: YAML reads ``yes``, ``01``, ``12:30`` and dates as other types.

The type of a field in the configuration decides: names, columns and paths keep the text as written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from toolkit.core.yaml_text import Scalar, parse_yaml

_TEXT = {str, Path}


def parse_config(text: str, model: type[BaseModel]) -> Any:
    """Read a YAML document.

    Args:
        text: The document.
        model: The model that it will be validated against.

    Returns:
        Plain values, with text as written where ``model`` expects text.

    Raises:
        yaml.YAMLError: The text is not valid YAML.
    """
    return _settled(parse_yaml(text, keep_text=True), [model])


def parse_override(keys: Sequence[str], text: str, model: type[BaseModel]) -> Any:
    """Read the value of one key: YAML, or plain text if only text is expected.

    Args:
        keys: Path of the key.
        text: The text after the ``=``.
        model: The whole configuration.

    Raises:
        yaml.YAMLError: The text is not valid YAML.
    """
    leaves: list[Any] = [model]
    for key in keys:
        leaves = _below(leaves, key)
    word = text.strip()
    if (
        leaves
        and set(leaves) <= {*_TEXT, NoneType}
        and not (NoneType in leaves and (not text or word in ("~", "null")))
    ):
        quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "\"'"
        if not quoted:
            return word or text
    try:
        return _settled(parse_yaml(text, keep_text=True), leaves)
    except yaml.YAMLError:
        if _TEXT & _types(leaves):
            return word
        raise


def _settled(value: Any, leaves: Sequence[Any]) -> Any:
    """Convert to plain values; a scalar becomes its text or its value, whichever fits."""
    if isinstance(value, Scalar):
        return _chosen(value, leaves)
    if isinstance(value, dict):
        return {key: _settled(inner, _below(leaves, str(key))) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_settled(inner, _elements(leaves)) for inner in value]
    return value


def _chosen(scalar: Scalar, leaves: Sequence[Any]) -> Any:
    kinds, value = _types(leaves), scalar.value
    if not scalar.text or type(value) in kinds or (type(value) is int and float in kinds):
        return value
    words = [word for leaf in leaves if get_origin(leaf) is Literal for word in get_args(leaf)]
    return scalar.text if kinds & _TEXT or scalar.text in words else value


def _types(leaves: Sequence[Any]) -> set[Any]:
    return {leaf for leaf in leaves if isinstance(leaf, type)}


def _below(leaves: Sequence[Any], key: str) -> list[Any]:
    """Return the types allowed for a value of a mapping; a section may replace a list with one section."""
    found: list[Any] = []
    for leaf in (*leaves, *_elements(leaves)):
        if isinstance(leaf, type) and issubclass(leaf, BaseModel) and key in leaf.model_fields:
            found += _leaves(leaf.model_fields[key].annotation)
        elif get_origin(leaf) is dict:
            found += _leaves(get_args(leaf)[1])
    return found


def _elements(leaves: Sequence[Any]) -> list[Any]:
    """Return the types allowed for an element of a list."""
    inner = [argument for leaf in leaves if get_origin(leaf) in (tuple, list) for argument in get_args(leaf)]
    return [leaf for argument in inner if argument is not Ellipsis for leaf in _leaves(argument)]


def _leaves(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation."""
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [leaf for argument in get_args(annotation) for leaf in _leaves(argument)]
    return [annotation]
