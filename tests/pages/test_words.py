"""Numbers as they are written."""

from __future__ import annotations

import pytest

from toolkit.pages.words import fixed, in_scale, metric_words, number, percent, span


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"), (12.3456, "12.35"), (-0.5, "−0.5"), (0.0123456, "0.01235"), (0.000123456, "0.000123"),
        (1234.5, "1234"), (12345.6, "12,346"), (-1234567.0, "−1,234,567"), (1e13, "1e+13"), (1e-9, "1e−09"),
        (None, "–"), (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers_in_any_unit(value: float | None, words: str) -> None:
    assert number(value) == words


def test_shares_and_plain_numbers() -> None:
    assert percent(0.5) == "50.0\u00a0%"
    assert percent(0.99999) == "over 99.9\u00a0%"
    assert percent(1.0) == "100.0\u00a0%"
    assert (fixed(-0.1234), fixed(-1e-9), fixed(None)) == ("−0.123", "0.000", "–")
    assert span((0.25, 0.5), fixed) == "0.250 to 0.500"
    assert span(None, fixed) == "–"


@pytest.mark.parametrize(
    ("value", "scale", "words"),
    [
        (2033.44, 14.3, "2033.4"), (-2.06, 14.3, "−2.1"), (0.00099012, 2.9e-4, "0.000990"),
        (123456.7, 900.0, "123,457"),
        (0.0004, 1.0, "0.00"), (-0.0004, 1.0, "0.00"), (3.0, 0.0, "3"), (1e-9, 1e-10, "1e−09"), (1e15, 1e14, "1e+15"),
    ],
)  # fmt: skip
def test_numbers_beside_others_of_their_kind(value: float, scale: float, words: str) -> None:
    assert in_scale(value, scale) == words


def test_metrics() -> None:
    assert metric_words("top1", 0.25) == "25.0\u00a0%"
    assert metric_words("map", 0.25) == "0.250"
    assert metric_words("r2", -14.0) == "−14.000"
    assert metric_words("mae", 1234567.0) == "1,234,567"
