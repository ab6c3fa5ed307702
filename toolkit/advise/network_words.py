"""A ranking of networks in words and as a table."""

from __future__ import annotations

from rich.table import Table

from toolkit.advise.race import RaceResult
from toolkit.advise.ranking import NetworkRow, Ranking
from toolkit.advise.words import number
from toolkit.core.console import new_table
from toolkit.zoo import get_spec

BASELINE_SOURCE = "arXiv:2405.20420, arXiv:2510.06448"
"""Comparisons of ways to choose a network, which few beat ImageNet accuracy in."""
TOP1_SOURCE = {"paddle": "Paddle's and PaddleClas's model tables", "paddleclas": "PaddleClas's model list"}
"""Where published accuracies come from, by the package of the network."""
_NONE = "–"


def network_sentences(ranking: Ranking, race: RaceResult | None = None) -> tuple[str, ...]:
    """Say which network is recommended, how sure that is, and what ImageNet top-1 alone would choose.

    Args:
        ranking: The ranking.
        race: The race of the best two, which then decides.
    """
    sentences = [_first(ranking)]
    if race is not None:
        sentences = [f"By the measurement alone, {sentences[0]}", race.words("the measurement")]
    winner = ranking.first.network if race is None else race.winner.partition(": ")[0]
    return (*sentences, _baseline(ranking, winner))


def network_table(ranking: Ranking, chosen: str, images: int) -> Table:
    """Tabulate the networks in their order.

    Args:
        ranking: The ranking.
        chosen: The recommended network, which is marked.
        images: Number of images of the linear probes.
    """
    numeric = ("ImageNet", "linear probe", "behind", "LogME", "k-NN", "params", "cost")
    table = new_table(f"networks, on {images} images", "network", *numeric, "preset", numeric=numeric)
    costs = ranking.costs()
    for row in ranking.rows:
        mark = ("[bold]", "[/]") if row.network == chosen else ("", "")
        table.add_row(
            f"{mark[0]}{row.network}{mark[1]}",
            _NONE if row.imagenet is None else f"{row.imagenet:.1%}",
            _with_error(row.probe, row.error),
            "" if row.behind_error == 0 else _with_error(row.behind, row.behind_error),
            _NONE if row.logme is None else number(row.logme),
            _NONE if row.knn is None else number(row.knn),
            _NONE if row.parameters is None else f"{row.parameters / 1e6:.1f} M",
            f"{costs[row.network]:.1f}",
            row.preset,
        )
    table.caption = "\n".join(_legend(ranking))
    table.caption_justify = "left"
    return table


def _legend(ranking: Ranking) -> list[str]:
    libraries = dict.fromkeys(get_spec(row.network).library for row in ranking.rows if row.imagenet is not None)
    sources = ", ".join(TOP1_SOURCE[library] for library in libraries)
    by_macs = all(row.macs for row in ranking.rows)
    cost = "multiply-accumulates per image" if by_macs else "seconds of the measurement"
    return [
        *(
            [f"ImageNet: top-1 published for the zoo's weights ({sources}); those of a FILE may differ"]
            if sources
            else []
        ),
        "behind: difference from the best linear probe, with its error on the same images; k-NN: nearest neighbours",
        f"cost: {cost}, relative to the cheapest; preset: what the advisor recommends with this network",
    ]


def _with_error(value: float | None, error: float | None) -> str:
    return _NONE if value is None or error is None else f"{value:.3f} ± {error:.3f}"


def _first(ranking: Ranking) -> str:
    first, second = ranking.first, ranking.second
    if second is None:
        return f"{first.network} is recommended: no other network could be measured."
    if len(ranking.tied) > 1:
        names = [row.network for row in ranking.tied]  # cheapest first
        apart = next(row for row in ranking.tied if row.behind_error)
        return (
            f"{', '.join(names[:-1])} and {names[-1]} cannot be told apart on these images (their linear probes differ "
            f"by {_with_error(apart.behind, apart.behind_error)}), so the cheapest of them is recommended: "
            f"{first.network}."
        )
    return (
        f"{first.network} is recommended: a linear probe on its features scores "
        f"{_with_error(first.probe, first.error)}, {_with_error(second.behind, second.behind_error)} more than with "
        f"{second.network} on the same images; on new images of this kind, the probe would again be better with a "
        f"probability of {ranking.sure:.0%}."
    )


def _baseline(ranking: Ranking, winner: str) -> str:
    best = ranking.baseline
    if best is None:
        return "ImageNet top-1 is known of fewer than two of these networks' weights: there is no such baseline."
    choice = "the same" if best.network == winner else best.network
    return (
        f"By published ImageNet top-1 alone, the choice would be {choice} ({_all(ranking)}); this baseline is hard to "
        f"beat ({BASELINE_SOURCE})."
    )


def _all(ranking: Ranking) -> str:
    known: list[NetworkRow] = [row for row in ranking.rows if row.imagenet is not None]
    known.sort(key=lambda row: -(row.imagenet or 0.0))
    return ", ".join(f"{row.network} {row.imagenet:.1%}" for row in known)
