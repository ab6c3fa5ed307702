"""Which differences are larger than the spread, against numbers of scipy and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tests.bakeoff.conftest import row
from toolkit.bakeoff.comparison import winner
from toolkit.bakeoff.statistics import convergence, differences
from toolkit.commands.train import train
from toolkit.config import Config

A, B = (0.95, 0.90, 0.93), (0.90, 0.86, 0.87)


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    (found,) = differences([row("a", A), row("b", B)], 1000)
    interval = ttest_rel(A, B).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(np.mean(A) - np.mean(B))
    assert (found.best, found.other, found.seeds, found.verdict) == ("a", "b", 3, "clear")


def test_a_spread_that_holds_zero_is_said_to() -> None:
    (found,) = differences([row("a", (0.95, 0.80)), row("b", (0.85, 0.85))], 1000)
    assert found.verdict == "within"
    assert found.low is not None
    assert found.low < 0


def test_one_seed_says_nothing() -> None:
    (found,) = differences([row("a", (0.95,)), row("b", (0.2,))], 1000)
    assert (found.verdict, found.low, found.high) == ("unknown", None, None)


def test_only_common_seeds_are_paired() -> None:
    (found,) = differences([row("a", A), row("b", B[:2])], 1000)
    assert found.seeds == 2
    assert found.mean == pytest.approx((0.05 + 0.04) / 2)


def test_equal_differences_are_no_proof_on_few_images() -> None:
    rows = [row("a", (0.9, 0.8, 0.7)), row("b", (0.8, 0.7, 0.6))]
    assert differences(rows, 1000)[0].verdict == "clear"
    assert differences(rows, 5)[0].verdict == "within"


def test_a_run_with_others_beside_it_says_its_lead(make: Callable[..., Config]) -> None:
    beside = {"preset": "linear_probe", "compare": ["scratch"], "compare_seeds": 3}
    said = train(make(transfer=beside, export={"enabled": False, "report": False}))
    scores = {row["title"]: row["top1"] for row in said.json["comparison"]}
    (found,) = said.json["differences"]
    expected = np.subtract(scores[found["best"]], scores[found["other"]])
    assert (found["mean"], found["seeds"]) == (pytest.approx(expected.mean()), 3)
    lines = [line for line in said.text if isinstance(line, str)]
    assert any(line.startswith(f"Best: {found['best']}, top-1") for line in lines)
    assert any(f"{found['other']} ({100 * found['mean']:.1f} points, 95 % interval" in line for line in lines)


def test_the_winner_has_trained_to_the_end() -> None:
    halted = row("luck", (0.99, 0.99), halted={"epoch": 1}, epochs=1)
    rows = [halted, row("few", (0.98,)), row("slow", (0.9, 0.9), pace=2.0), row("fast", (0.9, 0.9))]
    assert winner(rows).preset == "fast"


def test_transfer_arrives_sooner() -> None:
    rows = [row("all_stages", (0.9, 0.8), pace=0.5), row("scratch", (0.45, 0.4), pace=3.0)]
    (found,) = convergence(rows)
    assert (found.candidate, found.level) == ("all_stages", pytest.approx(0.425))
    assert (found.epochs, found.seconds, found.scratch_epochs, found.scratch_seconds) == (2, 1.0, 4, 12.0)


def test_no_arrival_where_scratch_is_better_or_alone() -> None:
    assert convergence([row("all_stages", (0.5,)), row("scratch", (0.8,))]) == []
    assert convergence([row("scratch", (0.8,))]) == []
    assert convergence([row("all_stages", (0.8,))]) == []


def test_each_network_arrives_where_its_own_scratch_came_to() -> None:
    rows = [row("alexnet: all_stages", (0.9,)), row("alexnet: scratch", (0.3,))]
    assert [(each.candidate, each.scratch) for each in convergence(rows)] == [
        ("alexnet: all_stages", "alexnet: scratch")
    ]
    rows += [row("all_stages", (0.8,)), row("scratch", (0.7,))]
    found = {each.scratch: each.candidate for each in convergence(rows)}
    assert found == {"alexnet: scratch": "alexnet: all_stages", "scratch": "all_stages"}
