"""Tables of the zoo and of single networks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from toolkit.core.console import new_table
from toolkit.zoo.catalogue import ListedNetwork
from toolkit.zoo.profile import NetworkProfile, StageProfile

_NONE = "-"


def networks_table(networks: Sequence[ListedNetwork]) -> Table:
    """A table with one network per line."""
    numeric = ("params", "GMAC", "stages", "input", "top-1")
    title = f"{len(networks)} network{'' if len(networks) == 1 else 's'}"
    table = new_table(title, "network", "params", "GMAC", "stages", "input", "weights", "top-1", numeric=numeric)
    table.columns[0].overflow = "fold"
    for network in networks:
        table.add_row(
            network.name,
            _NONE if network.parameters is None else _count(network.parameters),
            _NONE if network.macs is None else _giga(network.macs),
            _NONE if network.stages is None else str(network.stages),
            str(network.input_size),
            "yes" if network.pretrained else _NONE,
            _NONE if network.top1 is None else f"{100 * network.top1:.1f} %",
        )
    return table


def networks_legend() -> list[str]:
    """Explanations of the columns of ``networks_table``, one line each."""
    return [
        "params   trainable weights",
        "GMAC     10^9 multiply-accumulates for one image of the input's size, called FLOPs in papers",
        "         (1 MAC = 2 floating-point operations)",
        "weights  whether pretrained weights can be downloaded; top-1: their published accuracy on ImageNet",
    ]


def profile_table(profile: NetworkProfile) -> Table:
    """A table with one stage per line, from the image to the head; a rule marks each change of map size."""
    columns = ("stage", "output", "params", "total", "MMAC", "sees", "MB out", "MB kept")
    title = (
        f"{profile.name}: {_count(profile.parameters)} parameters, {_count(profile.macs)} multiply-accumulates/image"
    )
    table = new_table(title, *columns, numeric=columns[1:])
    table.columns[0].overflow, table.columns[1].no_wrap = "fold", True
    side: tuple[int, ...] = (profile.image_size, profile.image_size)
    table.add_row("image", _shape((profile.in_channels, *side)), "", "", "", "", "", "")
    for part in (*profile.stages, profile.head):
        if part.shape[1:] != side or part is profile.head:
            table.add_section()
        side = part.shape[1:]
        table.add_row(*_cells(part))
    table.add_section()
    total = (_count(profile.parameters), "", _three_digits(profile.macs / 1e6), "", "", _megabytes(profile.kept_bytes))
    table.add_row("total", "", *total)
    return table


def _cells(part: StageProfile) -> tuple[str, ...]:
    return (
        part.name,
        _shape(part.shape),
        _count(part.parameters),
        _count(part.cumulated_parameters),
        _three_digits(part.macs / 1e6),
        _field(part.receptive_field),
        _megabytes(part.activation_bytes),
        _megabytes(part.kept_bytes),
    )


def profile_legend(profile: NetworkProfile) -> list[str]:
    """Explanations of the columns of ``profile_table``, one line each."""
    lines = [
        "output   channels x height x width (or tokens x features, or features) of one image",
        "params   trainable weights; total: including all earlier stages",
        "MMAC     10^6 multiply-accumulates, called FLOPs in papers (1 MAC = 2 floating-point operations)",
        "sees     receptive field: side of the square of pixels that one output value depends on",
        "MB out   memory of the stage's output, float32, one image (1 MB = 10^6 bytes)",
        "MB kept  memory that training keeps for the backward pass, one image; none for a frozen stage",
    ]
    if profile.unknown:
        lines.append(f"warning  not counted, operations of unknown kinds: {', '.join(profile.unknown)}")
    return lines


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _field(field: tuple[int, int] | None) -> str:
    if field is None:
        return "image"
    return str(field[0]) if field[0] == field[1] else _shape(field)


def _megabytes(value: int) -> str:
    return f"{value / 1e6:.2f}"


def _count(value: int) -> str:
    """``4.09 G``, ``25.6 M``, ``320 k``, ``90``."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * size:
            return _three_digits(value / size) + unit
    return str(value)


def _giga(value: int) -> str:
    return _three_digits(value / 1e9) if value >= 1e6 else f"{value / 1e9:.4f}"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 999.5 else f"{value:#.3g}".rstrip(".")
