"""The race: what is decided from short trainings, made here of scripted outputs."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.advise.race import FOLDS, Lap, RaceResult, Runner, run_race
from toolkit.core.errors import ConfigError
from toolkit.engine.learning.objective import make_objective

CLASSES = 4


def lap(accuracy: float, images: int, fold: int, seconds: float = 1.0) -> Lap:
    """Outputs that are right for a share of the images; candidates share what is hard."""
    labels = np.arange(images) % CLASSES
    hard = np.random.default_rng(fold).permutation(images)
    answers = labels.copy()
    wrong = hard[: round((1 - accuracy) * images)]
    answers[wrong] = (labels[wrong] + 1) % CLASSES
    return Lap(np.eye(CLASSES, dtype=np.float32)[answers] * 5, labels, seconds)


class Script:
    """Accuracies by preset, and what was run."""

    def __init__(self, images: int = 100, seconds: float = 1.0, **accuracy: float) -> None:
        self.accuracy, self.images, self.seconds = accuracy, images, seconds
        self.ran: list[tuple[str, int]] = []

    def __call__(self, runner: Runner, fold: int) -> Lap:
        self.ran.append((runner.title, fold))
        return lap(self.accuracy[runner.title], self.images, fold, self.seconds * runner.work)


def race(script: Script, budget: float | None = None, **expected: float) -> RaceResult:
    runners = [Runner(title, loss, 1.0, 10.0) for title, loss in expected.items()]
    return run_race(runners, script, make_objective("classification"), budget)


def test_a_clear_lead_overrules_the_rule() -> None:
    found = race(Script(a=0.80, b=0.95), a=0.0, b=0.01)
    assert (found.winner, found.before) == ("b", "a")
    assert found.sure > 0.95
    assert found.scores == {"a": 0.80, "b": 0.95}
    assert "the rule alone recommends a" in found.words()


def test_a_small_lead_on_few_images_does_not() -> None:
    assert race(Script(images=12, a=10 / 12, b=11 / 12), a=0.0, b=0.05).winner == "a"


def test_the_same_lead_on_many_images_does() -> None:
    assert race(Script(images=1200, a=10 / 12, b=11 / 12), a=0.0, b=0.05).winner == "b"


def test_equal_presets_go_by_the_rule_and_are_not_sure() -> None:
    found = race(Script(a=0.9, b=0.9), a=0.0, b=0.002)
    assert found.winner == "a"
    assert 0.4 < found.sure < 0.8


def test_who_is_beaten_runs_no_further() -> None:
    script = Script(a=0.95, b=0.60, c=0.95)
    race(script, budget=100, a=0.0, b=0.0, c=0.0)
    assert script.ran[:3] == [("a", 0), ("b", 0), ("c", 0)]
    assert [fold for title, fold in script.ran if title == "b"] == [0]
    assert [fold for title, fold in script.ran if title == "c"] == list(range(FOLDS))


def test_it_stops_as_soon_as_one_is_ahead() -> None:
    script = Script(a=0.95, b=0.60)
    race(script, budget=100, a=0.0, b=0.0)
    assert len(script.ran) == 2


def test_by_default_it_costs_what_training_the_rules_choice_costs() -> None:
    runners = [Runner("a", 0.0, 1.0, 2.0), Runner("b", 0.0, 1.0, 2.0), Runner("c", 0.0, 9.0, 20.0)]
    script = Script(a=0.9, b=0.9, c=0.9, seconds=60)
    found = run_race(runners, script, make_objective("classification"))
    assert found.budget == pytest.approx(60 * 2.0 * FOLDS / (FOLDS - 1))
    assert found.left_out == ("c",)
    assert [title for title, _ in script.ran] == ["a", "b", "a"][: len(script.ran)]


def test_a_budget_too_small_says_what_it_would_take() -> None:
    with pytest.raises(ConfigError, match=r"a budget of 1 s is too small for one rung.*about 2 s"):
        race(Script(a=0.9, b=0.9), budget=1.2, a=0.0, b=0.0)


def test_any_metric() -> None:
    def regression(runner: Runner, fold: int) -> Lap:
        labels = np.random.default_rng(fold).normal(size=(60, 1)).astype(np.float32)
        noise = np.random.default_rng(fold + 9).normal(size=(60, 1)).astype(np.float32)
        return Lap(labels + noise * {"a": 0.9, "b": 0.1}[runner.title], labels, 1.0)

    runners = [Runner("a", 0.0, 1.0, 9.0), Runner("b", 0.0, 1.0, 9.0)]
    found = run_race(runners, regression, make_objective("regression", scale=np.ones(1, np.float32)))
    assert found.winner == "b"


def test_a_race_may_take_a_little_longer_than_a_very_short_training() -> None:
    runners = [Runner("a", 0.0, 1.0, 1.0), Runner("b", 0.0, 9.0, 20.0)]
    found = run_race(runners, Script(a=0.6, b=0.9), make_objective("classification"))
    assert (found.winner, found.left_out) == ("b", ())


def test_the_time_of_a_head_does_not_keep_stages_from_racing() -> None:
    runners = [Runner("a", 0.0, 1.0, 1.0, moving=False), *(Runner(name, 0.0, 9.0, 20.0) for name in ("b", "c"))]
    script = Script(a=0.9, b=0.9, c=0.9, seconds=3)
    found = run_race(runners, script, make_objective("classification"))
    assert script.ran[:2] == [("a", 0), ("b", 0)]  # predicted from the head's 3 s, b would take 27 of 20 s
    assert found.left_out == ("c",)  # 27 s were seen
    assert found.words().endswith("There was no time for c.")
