"""Views of an image: all different, the centre first, and mirrored only where that is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.data import Preprocessing
from toolkit.data.views import MOST_VIEWS, views_of

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
PLAIN = Preprocessing(32, 0.875)


@pytest.mark.parametrize("flip", ["none", "horizontal", "both"])
@pytest.mark.parametrize("ratio", [0.875, 1.0])
def test_all_views_differ_and_the_first_is_the_centre_crop(flip: str, ratio: float) -> None:
    plain = Preprocessing(32, ratio)
    seen = [view.geometry(PICTURE) for view in views_of(plain, flip, 20)]  # type: ignore[arg-type]
    np.testing.assert_array_equal(seen[0], plain.geometry(PICTURE))
    assert {image.shape for image in seen} == {(32, 32, 3)}
    assert len({image.tobytes() for image in seen}) == 20


def test_a_smaller_number_is_the_beginning_of_a_larger_one() -> None:
    assert views_of(PLAIN, "horizontal", 7) == views_of(PLAIN, "horizontal", 30)[:7]


def test_ten_views_are_centre_corners_and_mirror_images() -> None:
    views = views_of(PLAIN, "horizontal", 10)
    assert sum(view.mirrored for view in views) == 5
    assert {view.position for view in views} == {None, (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)}
    np.testing.assert_array_equal(views[1].geometry(PICTURE), views[0].geometry(PICTURE)[:, ::-1])


def test_what_may_not_be_mirrored_is_not() -> None:
    views = views_of(PLAIN, "none", MOST_VIEWS)
    assert not any(view.mirrored or view.upside_down for view in views)
    assert not any(view.upside_down for view in views_of(PLAIN, "horizontal", MOST_VIEWS))
    assert any(view.upside_down for view in views_of(PLAIN, "both", 4))


def test_corners_are_corners_of_the_central_square() -> None:
    picture = np.zeros((40, 60, 1), np.uint8)
    picture[0, 10] = 255
    plain = Preprocessing(35, 0.875, (0.5,), (0.5,))
    top_left = views_of(plain, "none", 5)[1].geometry(picture)
    assert top_left[0, 0, 0] == 255
    assert top_left.sum() == 255


def test_normalisation_is_the_same() -> None:
    view = views_of(PLAIN, "none", 3)[2]
    np.testing.assert_array_equal(view.apply(PICTURE), PLAIN.normalise(view.geometry(PICTURE)))


@pytest.mark.parametrize("count", [0, MOST_VIEWS + 1])
def test_out_of_range(count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64 views"):
        views_of(PLAIN, "none", count)
