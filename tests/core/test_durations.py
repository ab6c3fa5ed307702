from __future__ import annotations

import pytest

from toolkit.core.durations import seconds_of
from toolkit.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400), ("1 d", 86400)]
)
def test_budgets(text: str, seconds: float) -> None:
    assert seconds_of(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["20", "", "m", "-5m", "0s", "20 minutes of it", "5x"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="a time like 20m"):
        seconds_of(text, "--budget")
