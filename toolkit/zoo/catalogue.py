"""The zoo as a list: facts from the rows, and measurements of each network."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from toolkit.core.errors import NetworkError
from toolkit.core.names import did_you_mean
from toolkit.zoo.measurements import measured_networks
from toolkit.zoo.registry import get_spec, list_networks


@dataclass(frozen=True)
class ListedNetwork:
    """One network of the zoo with its own classifier.

    Attributes:
        name: Name of the network.
        parameters: Number of trainable weights; None if not measured yet, as for the next two.
        macs: Multiply-accumulates for one image of its native size.
        stages: Number of stages.
        input_size: Side of the square image that it was designed for, in pixels.
        min_size: Smallest side that it supports.
        pretrained: Whether weights can be downloaded.
        top1: Published ImageNet top-1 accuracy of these weights, as a fraction; None if not known for sure.
    """

    name: str
    parameters: int | None
    macs: int | None
    stages: int | None
    input_size: int
    min_size: int
    pretrained: bool
    top1: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_networks(text: str = "", *, pretrained: bool = False) -> list[ListedNetwork]:
    """Find networks by name, without building any.

    Args:
        text: Part of the name, or a pattern with ``*``, ``?`` or ``[...]`` for the whole name; case is ignored.
        pretrained: Only networks with weights to download.

    Returns:
        Paddle's own networks before PaddleClas's, each by family, then by size (``resnet18`` before ``resnet101``).

    Raises:
        NetworkError: No network matches.

    Example:
        >>> [network.name for network in find_networks("wide*")]
        ['wide_resnet50_2', 'wide_resnet101_2']
    """
    wanted = text.lower()
    pattern = wanted if re.search(r"[*?[]", wanted) else f"*{wanted}*"
    names = sorted((name for name in list_networks() if fnmatchcase(name.lower(), pattern)), key=_order)
    networks = [_listed(name) for name in names if get_spec(name).pretrained or not pretrained]
    if networks:
        return networks
    if names:
        raise NetworkError(f"none of the networks that match {text!r} has weights to download: {', '.join(names)}")
    guess = did_you_mean(text, list_networks(), 3)
    raise NetworkError(f"no network matches {text!r}", hint=guess or "omit the filter")


def _listed(name: str) -> ListedNetwork:
    spec, measured = get_spec(name), measured_networks().get(name)
    return ListedNetwork(
        name=name,
        parameters=measured.parameters if measured else None,
        macs=measured.macs if measured else None,
        stages=measured.stages if measured else None,
        input_size=spec.input_size,
        min_size=spec.min_size,
        pretrained=spec.pretrained,
        top1=spec.top1,
    )


def _order(name: str) -> tuple[bool, list[tuple[float, str]]]:
    """A sort key that orders numbers by value, ``x0_25`` as 0.25."""
    text = re.sub(r"(?<=x)(\d+)_(\d+)", r"\1.\2", name.lower())
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return "/" in name, [(float(part), "") if part[:1].isdigit() else (-1.0, part) for part in parts]
