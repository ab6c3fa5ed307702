"""Untrusted YAML: plain values only, in time and memory bounded by its length.

A YAML alias refers to a value elsewhere. Nine lines of nine aliases each expand to 9^9 values for any code that walks
through them, and a merge (``<<``) expands them at once. So aliases count at every occurrence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from toolkit.core.pickles import shortened

_MORE = 10_000
"""Values allowed beyond the number of characters in the text."""
_DEEPEST = 50
_LONGEST_NUMBER = 100
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Scalar:
    """A value that YAML reads as something other than text.

    Attributes:
        value: The parsed value: a number, True, None, a date.
        text: The value as written.
    """

    value: Any
    text: str


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses duplicate keys and documents that expand far beyond their text."""

    most = 0
    keep_text = False

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        if self.keep_text and isinstance(node, yaml.ScalarNode) and not isinstance(value, str):
            return Scalar(value, node.value)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        plain = {key.text if isinstance(key, Scalar) else key: value for key, value in mapping.items()}
        if len(plain) < len(mapping):
            raise yaml.MarkedYAMLError(problem="a duplicate key", problem_mark=node.start_mark)
        return plain

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= _DEEPEST:  # PyYAML looks ahead at every level
            raise yaml.YAMLError("nested too deeply")
        super().fetch_flow_collection_start(token)

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _size(node, {}) > self.most:
            raise yaml.YAMLError("its aliases expand to far more than the text itself")
        return node


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Number of values below a node, with aliases expanded."""
    if node in known:
        if not known[node]:
            raise yaml.MarkedYAMLError(problem="a value that contains itself", problem_mark=node.start_mark)
        return known[node]
    known[node] = 0
    if node.tag not in _Loader.yaml_constructors and node.tag != _MERGE:
        raise yaml.MarkedYAMLError(problem=f"it asks for {shortened(node.tag)}", problem_mark=node.start_mark)
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    elif node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
        raise yaml.MarkedYAMLError(problem="a number with too many digits", problem_mark=node.start_mark)
    known[node] = 1 + sum(_size(child, known) for child in children)
    if isinstance(node, yaml.MappingNode):
        _refuse_twins([key for key, _ in node.value])
    return known[node]


def _refuse_twins(keys: list[yaml.Node]) -> None:
    seen = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add((key.tag, key.value))


def parse_yaml(text: str, *, keep_text: bool = False) -> Any:
    """Read a YAML document.

    Args:
        text: The document.
        keep_text: Return a ``Scalar`` for each value that is not text, and keys as text.

    Returns:
        Plain values, which take time proportional to the text's length to walk through.

    Raises:
        yaml.YAMLError: The text is not valid YAML, has a duplicate key, is nested too deeply, has an invalid value
            (such as the date 2024-13-01), or expands to far more than its length.
    """
    loader = _Loader(text)
    loader.most = len(text) + _MORE
    loader.keep_text = keep_text
    try:
        return loader.get_single_data()
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # not caught by PyYAML
        raise yaml.YAMLError(f"an invalid value: {shortened(str(error))}") from None
    finally:
        loader.dispose()
