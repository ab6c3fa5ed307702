"""The rules of receptive fields, one by one."""

from __future__ import annotations

import pytest

from toolkit.zoo.receptive_field import (
    IMAGE,
    Reach,
    Span,
    along_axes,
    cut,
    everything,
    padded,
    pointwise,
    product,
    reshaped,
    sliding,
    transposed,
)

CONV = {"strides": [2, 2], "paddings": [1, 1], "dilations": [1, 1], "padding_algorithm": "EXPLICIT"}
MAP = (1, 8, 16, 16)
TOKENS = (1, 256, 8)
AS_TOKENS = Reach(IMAGE.spans, frozenset({1}))


def test_sliding_windows_grow_a_field() -> None:
    once = sliding(CONV, [(IMAGE, MAP), (None, (4, 8, 3, 3))], (1, 4, 8, 8))
    assert once.size == (3, 3)
    twice = sliding(CONV, [(once, (1, 4, 8, 8)), (None, (4, 4, 3, 5))], (1, 4, 4, 4))
    assert twice.size == (3 + 2 * 2, 3 + 4 * 2)
    assert twice.spans is not None
    assert twice.spans[0].step == 4
    dilated = sliding({**CONV, "dilations": [3, 3]}, [(IMAGE, MAP), (None, (4, 8, 3, 3))], (1, 4, 8, 8))
    assert dilated.size == (7, 7)


def test_padding_moves_a_field() -> None:
    explicit = sliding(CONV, [(IMAGE, MAP), (None, (4, 8, 3, 3))], (1, 4, 8, 8))
    assert explicit.spans == (Span(-1, 1, 2), Span(-1, 1, 2))
    same = sliding({**CONV, "padding_algorithm": "SAME"}, [(IMAGE, MAP), (None, (4, 8, 3, 3))], (1, 4, 8, 8))
    assert same.spans == (Span(0, 2, 2), Span(0, 2, 2))
    lopsided = sliding({**CONV, "paddings": [2, 0, 1, 0]}, [(IMAGE, MAP), (None, (4, 8, 3, 3))], (1, 4, 8, 8))
    assert lopsided.spans == (Span(-2, 0, 2), Span(-1, 1, 2))
    before = padded({"paddings": [1, 0, 2, 0, 0, 0]}, [(Reach(IMAGE.spans, frozenset({3, 4})), (1, 8, 1, 4, 4))], ())
    assert before.spans == (Span(-2, -2, 1), Span(-1, -1, 1))
    last = Reach(IMAGE.spans, frozenset({1, 2}))
    by_axis = padded({"paddings": [0, 0, 2, 0, 1, 0, 0, 0]}, [(last, (1, 4, 4, 8))], (1, 6, 5, 8))
    assert by_axis == Reach((Span(-2, -2, 1), Span(-1, -1, 1)), last.places)


def test_pools() -> None:
    pool = {**CONV, "ksize": [3, 3]}
    assert sliding(pool, [(IMAGE, MAP)], (1, 8, 8, 8)).size == (3, 3)
    assert sliding({**pool, "global_pooling": True}, [(IMAGE, MAP)], (1, 8, 1, 1)).size is None
    adaptive = {**pool, "adaptive": True}
    assert sliding(adaptive, [(IMAGE, MAP)], MAP).size == (1, 1)
    assert sliding(adaptive, [(IMAGE, MAP)], (1, 8, 4, 4)).size == (4, 4)
    assert sliding(adaptive, [(IMAGE, MAP)], (1, 8, 1, 1)).size is None
    assert sliding(adaptive, [(IMAGE, MAP)], (1, 8, 5, 5)).size is None


def test_branches_join_their_fields() -> None:
    left = Reach((Span(-3, 1, 2), Span(-3, 1, 2)), IMAGE.places)
    right = Reach((Span(-1, 2, 2), Span(0, 0, 2)), IMAGE.places)
    assert pointwise({}, [(left, MAP), (None, (8, 1, 1)), (right, MAP)], MAP).size == (6, 5)
    other_step = Reach((Span(0, 0, 4), Span(0, 0, 4)), IMAGE.places)
    assert pointwise({}, [(left, MAP), (other_step, MAP)], MAP).size is None
    gate = everything({}, [], (1, 8, 1, 1))
    assert pointwise({}, [(gate, (1, 8, 1, 1)), (left, MAP)], MAP).size is None
    squeezed = Reach((Span(0, 15, 16), Span(0, 15, 16)), IMAGE.places)
    assert pointwise({}, [(squeezed, (1, 8, 1, 1)), (left, MAP)], MAP).size is None


@pytest.mark.parametrize(
    ("shape", "out", "places"),
    [
        (MAP, (1, 8, 256), {2}),
        (MAP, (1, 2048), {1}),
        (MAP, (1, 2, 4, 16, 16), {3, 4}),
        (MAP, (1, 8, 2, 8, 2, 8), {2, 3, 4, 5}),
        (MAP, (1, 8, 1, 16, 16), {3, 4}),
        (MAP, (8, 16, 16), {1, 2}),
    ],
)
def test_reshaping_keeps_track_of_places(shape: tuple[int, ...], out: tuple[int, ...], places: set[int]) -> None:
    found = reshaped({}, [(IMAGE, shape)], out)
    assert found.size == (1, 1)
    assert found.places == places


def test_transposing_and_slicing() -> None:
    assert transposed({"perm": [0, 2, 3, 1]}, [(IMAGE, MAP)], (1, 16, 16, 8)).places == {1, 2}
    assert cut({}, [(IMAGE, MAP)], (1, 4, 16, 16)).size == (1, 1)
    assert cut({}, [(IMAGE, MAP)], (1, 8, 8, 16)).size is None
    assert cut({"decrease_axis": [1]}, [(IMAGE, MAP)], (1, 16, 16)).places == {1, 2}
    assert cut({"decrease_axis": [1]}, [(AS_TOKENS, TOKENS)], (1, 8)).size is None


def test_products() -> None:
    weight = (None, (8, 4))
    assert product({}, [(AS_TOKENS, TOKENS), weight], (1, 256, 4)).size == (1, 1)
    assert product({"transpose_x": True}, [(AS_TOKENS, TOKENS), (None, (256, 4))], (1, 8, 4)).size is None
    mixing = product({}, [(None, (4, 256)), (AS_TOKENS, TOKENS)], (1, 4, 8))
    assert mixing.size is None
    channels = Reach(IMAGE.spans, frozenset({2}))
    assert product({}, [(None, (4, 8)), (channels, (1, 8, 256))], (1, 4, 256)).size == (1, 1)
    assert product({"transpose_y": True}, [(AS_TOKENS, TOKENS), (AS_TOKENS, TOKENS)], (1, 256, 256)).size is None


def test_normalisation_and_reductions() -> None:
    assert along_axes({"begin_norm_axis": 2}, [(AS_TOKENS, TOKENS)], TOKENS).size == (1, 1)
    assert along_axes({"begin_norm_axis": 1}, [(AS_TOKENS, TOKENS)], TOKENS).size is None
    assert along_axes({"axis": -1}, [(AS_TOKENS, TOKENS)], TOKENS).size == (1, 1)
    assert along_axes({"axis": 1}, [(AS_TOKENS, TOKENS)], TOKENS).size is None
    assert along_axes({"axis": [1]}, [(IMAGE, MAP)], (1, 16, 16)).places == {1, 2}
    assert along_axes({"axis": [1]}, [(IMAGE, MAP)], (1, 1, 16, 16)).places == {2, 3}
    assert along_axes({"axis": []}, [(IMAGE, MAP)], ()).size is None
