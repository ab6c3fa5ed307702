"""The page and the sentences of a bake-off."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.bakeoff.conftest import found, make, row, squeeze_weights, trial  # noqa: F401 (fixtures)
from tests.explain.page import Page
from toolkit.bakeoff import BakeOff, LeftOut
from toolkit.core.console import command
from toolkit.explain import comparison_statements, write_comparison
from toolkit.explain.comparison_words import lead_statements, score_words
from toolkit.pages.words import gap_words
from toolkit.tasks import TASKS

Found = Callable[..., BakeOff]
HALTED = {"epoch": 2, "least": 0.5, "leader": "linear_probe", "value": 0.8, "reached": 0.3}


@pytest.fixture
def usual(found: Found) -> BakeOff:  # noqa: F811
    """Three ways, one of them far behind and stopped."""
    rows = [
        row("last_stages", (0.95, 0.94, 0.96)),
        row("usual_recipe", (0.90, 0.91, 0.92), pace=3.0),
        row("linear_probe", (0.95, 0.93, 0.97), pace=0.1),
        row("scratch", (0.3, 0.35, 0.4), epochs=2, planned=8, pace=5.0, halted=HALTED),
    ]
    return found(
        rows,
        [LeftOut("all_stages", seed, "budget", "the time was over") for seed in (0, 1)]
        + [LeftOut("x", 1, "failed", "NaN"), LeftOut("scratch", 2, "budget", "the time was over", always=True)],
    )


def test_what_is_said(usual: BakeOff) -> None:
    said = comparison_statements(usual)
    assert said[0] == "Best: linear_probe, top-1 95.0\u00a0% ± 2.0 (3 seeds, 150 validation images each)."
    text = " ".join(said)
    for words in (
        "larger than the spread over the seeds against scratch (60.0 points, 95 % interval",
        "cannot be distinguished from last_stages (0.0 points, 95 % interval −2.5 to 2.5)",
        "With 3 seeds, intervals are wide",
        "(everything fine-tuned at one rate: 91.0\u00a0% ± 1.0), linear_probe is 4.0 points better.",
        "reached 35.0\u00a0%, the best that scratch reached before it was stopped, after 2 epochs and 0.2 s; ",
        "; scratch took 2 epochs and 10.0 s",
        "because they were far behind: scratch (after epoch 2 of 8)",
        "--to-the-end trains them completely",
        "Left out for lack of time: all_stages, seeds 0, 1 (the time was over); scratch, seed 2 (the time was over).",
        "Could not be trained: x, seed 1 (NaN).",
    ):
        assert words in text, (words, text)


def test_who_should_take_part_and_was_not_trained_is_named(found: Found) -> None:  # noqa: F811
    short = found(
        [row("linear_probe", (0.9,)), row("all_stages", (0.8,))],
        [LeftOut(name, 0, "budget", "the time was over", always=True) for name in ("usual_recipe", "scratch")],
    )
    said = comparison_statements(short)[1]
    assert said == (
        "Not trained, although every comparison should include them: usual_recipe, scratch. "
        "The statements here do not cover them."
    )
    page = write_comparison(short).read_text(encoding="utf-8")
    assert page.count('<span class="file">not trained</span>') == 2


def test_a_single_run_that_was_stopped_is_spoken_of_as_one(found: Found) -> None:  # noqa: F811
    stopped = row("scratch", (0.3,), epochs=2, planned=8, halted=HALTED)
    said = comparison_statements(found([row("all_stages", (0.9,)), stopped], seeds=1))[-1]
    assert "because it was far behind" in said
    assert "--to-the-end trains it completely" in said


def test_networks_are_compared_with_their_own_usual_recipe(found: Found) -> None:  # noqa: F811
    other = [row("alexnet: all_stages", (0.9,)), row("alexnet: usual_recipe", (0.8,)), row("alexnet: scratch", (0.2,))]
    text = " ".join(comparison_statements(found(other)))
    assert (
        "Compared with the usual recipe (everything fine-tuned at one rate: 80.0\u00a0%), alexnet: all_stages is 10.0"
        in text
    )
    assert "the best that alexnet: scratch ever reached" in text
    text = " ".join(comparison_statements(found([*other, row("all_stages", (0.5,)), row("usual_recipe", (0.7,))])))
    for words in (
        "Compared with the usual recipe on alexnet (everything fine-tuned at one rate: 80.0\u00a0%), alexnet: "
        "all_stages is 10.0 points better.",
        "Compared with the usual recipe on squeezenet1_1 (everything fine-tuned at one rate: 70.0\u00a0%), all_stages "
        "is 20.0 points worse.",
    ):
        assert words in text, (words, text)


def test_one_seed_is_said_to_say_nothing(found: Found) -> None:  # noqa: F811
    said = " ".join(comparison_statements(found([row("a", (0.9,)), row("b", (0.8,))], seeds=1)))
    assert "its lead over b is more than chance is unknown" in said
    assert "±" not in said


def test_what_alone_finished_is_not_called_best(found: Found) -> None:  # noqa: F811
    alone = found([row("linear_probe", (0.9, 0.92))], [LeftOut("all_stages", 0, "budget", "the time was over")])
    said = comparison_statements(alone)
    assert said[0].startswith("Only linear_probe finished, top-1 91.0")
    assert said[0].endswith(": there is nothing to compare it with.")
    page = Page(write_comparison(alone).read_text(encoding="utf-8")).text
    assert "Only linear_probe finished; there is nothing to compare it with" in page
    assert "is best" not in page
    ahead = lead_statements([row("linear_probe", (0.9, 0.92)), row("all_stages", (0.97,))], "val", 50)
    assert ahead[0].endswith("each): the others finished at most 1, and one of them may be better.")
    assert ahead[0].startswith("Only linear_probe finished 2 seeds, ")


def test_numbers_have_the_metric_s_unit() -> None:
    regression = TASKS["regression"]
    assert gap_words(TASKS["classification"].main, -0.0123) == "−1.2 points"
    assert gap_words(regression.main, 0.0123) == "0.012"
    assert gap_words(regression.metric("mae"), 12.3) == "12.3"
    assert score_words(row("a", (0.9,))) == "90.0\u00a0%"


def test_the_page_is_whole_and_needs_nothing_else(usual: BakeOff) -> None:
    path = write_comparison(usual)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.sections == ["said", "table", "curves", "made", "again"]
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert all((of["src"] or "").startswith("data:image/svg+xml;base64,") for of in page.having("img"))
    assert len(page.having("img")) == 3
    assert not [words for words in ("http:", "https:", "@import", "url(") if words in text]
    for words in (
        "linear_probe is best: top-1 95.0 % ± 2.0 on 150 validation images, mean and standard deviation of 3 seeds",
        "1 linear_probe 95.0 % ± 2.0 3 4 0.4 s 500.0 MB 100 9.0 MB",
        "4 scratch stopped early 35.0 % ± 5.0 3 2 of 8 10.0 s",
        "hollow dots",
        command("predict"),
        "seeds 0 to 2. A seed is one split",
        "--seeds 5",
        "successive halving",
    ):
        assert words in page.text, words
    assert len(page.having("tr", **{"class": "best"})) == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        (
            {"presets": ("all_stages", "scratch"), "networks": ("alexnet=my weights.pdparams",), "halving": False},
            ["--presets", "all_stages,scratch", "--networks", "alexnet=my weights.pdparams", "--to-the-end"],
        ),
        ({"budget": 600.0}, ["--budget", "20m"]),  # the time of the first sittings counts
        ({"budget": 45.5}, ["--budget", "91s"]),
    ],
)
def test_the_command_that_goes_on_asks_for_the_same(usual: BakeOff, asked: dict[str, Any], words: list[str]) -> None:
    page = Page(write_comparison(replace(usual, **asked)).read_text(encoding="utf-8"))
    (line,) = (part for part in page.parts if command("compare") in part)
    assert shlex.split(line)[len(shlex.split(command("compare"))) + 4 :] == words


def test_what_was_not_measured_has_no_column(found: Found) -> None:  # noqa: F811
    page = Page(write_comparison(found([row("a", (0.9, 0.8), memory=None, exported=None)])).read_text(encoding="utf-8"))
    assert "not measured" in page.text
    assert "peak memory</th>" not in page.text
    assert "There is only one candidate" in page.text


def test_names_are_text(found: Found) -> None:  # noqa: F811
    one = found([row("<b>a</b>", (0.9,)), row("b", (0.8,))], [LeftOut("<i>x</i>", 0, "failed", "<script>1</script>")])
    one = replace(one, config=one.config.model_copy(update={"name": "<u>n</u>"}))
    page = Page(write_comparison(one).read_text(encoding="utf-8"))
    assert not {"b", "i", "u", "script"} & {tag for tag, of in page.tags if not of}
    assert "<u>n</u>" in page.text


def test_many_candidates_keep_scratch_among_the_drawn(found: Found) -> None:  # noqa: F811
    rows = [row(f"net{number}: all_stages", (0.9 - number / 100,)) for number in range(14)]
    page = Page(write_comparison(found([*rows, row("scratch", (0.1,))])).read_text(encoding="utf-8"))
    assert "10 scratch" in page.text
    assert "net9: all_stages" in page.text
    alt = page.having("img")[0]["alt"] or ""
    assert "scratch" in alt
    assert "net9: all_stages" not in alt
