"""JPEG headers, and that simplejpeg gives what OpenCV gives."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from toolkit.data import decode_image
from toolkit.data import jpeg as jpeg_module
from toolkit.data.box import whole
from toolkit.data.decode import decode_jpeg_reduced
from toolkit.data.jpeg import decode_fast, read_header
from toolkit.data.reduced import decode_part

needs_simplejpeg = pytest.mark.skipif(
    find_spec("simplejpeg") is None, reason="simplejpeg is not installed: fast decoding is NOT tested"
)
Picture = Callable[..., Any]
KINDS = [
    {},
    {"progressive": True},
    {"subsampling": 0},
    {"subsampling": 1},
    {"subsampling": 2, "quality": 100},
    {"quality": 30, "optimize": True},
    {"keep_rgb": True},
    {"restart_marker_rows": 1},
]


def jpeg(image: Any, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.fixture
def without() -> Callable[[Callable[[], Any]], Any]:
    """Calls something as if simplejpeg were not installed."""

    def call(what: Callable[[], Any]) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jpeg_module, "_simplejpeg", lambda: None)
            return what()

    return call


@needs_simplejpeg
@pytest.mark.parametrize("size", [(63, 81), (200, 160), (8, 8), (1, 17)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_pixels_are_those_of_opencv(picture: Picture, without: Any, size: Any, mode: str, options: Any) -> None:
    data = jpeg(picture(3, *size), mode, **(options if mode == "RGB" else options | {"keep_rgb": False}))
    fast = decode_fast(data)
    assert fast is not None
    assert np.array_equal(fast, without(lambda: decode_image(data)))
    assert np.array_equal(fast, decode_image(data))
    header = read_header(data)
    assert header is not None
    for times in (2, 4, 8):
        reduced = decode_fast(data, header, times)
        assert np.array_equal(reduced, without(lambda times=times: decode_jpeg_reduced(data, header, times)))


@needs_simplejpeg
@pytest.mark.parametrize("times", [1, 2, 4, 8])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", ["411", "420", "422", "440", "444"])
def test_every_sampling_of_colour(picture: Picture, without: Any, sampling: str, progressive: int, times: int) -> None:
    factors = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    how = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    data = cv2.imencode(".jpg", picture(5, 75, 101), how)[1].tobytes()
    header = read_header(data)
    assert header is not None
    expected = without(lambda: decode_image(data) if times == 1 else decode_jpeg_reduced(data, header, times))
    assert np.array_equal(decode_fast(data, header, times), expected)


@needs_simplejpeg
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_picture_is_left_to_opencv(picture: Picture, without: Any, orientation: int) -> None:
    data = jpeg(picture(3, 40, 64), exif=exif(orientation))
    assert (decode_fast(data) is not None) == (orientation == 1)
    assert np.array_equal(decode_image(data), without(lambda: decode_image(data)))


@needs_simplejpeg
def test_rare_kinds_are_left_to_opencv(picture: Picture, without: Any) -> None:
    data = jpeg(picture(3, 40, 64), "CMYK", subsampling=2)
    assert decode_fast(data) is None
    assert np.array_equal(decode_image(data), without(lambda: decode_image(data)))


@needs_simplejpeg
def test_a_damaged_picture_is_read_as_without(picture: Picture, without: Any) -> None:
    """Bits flipped anywhere: the same pixels, or the same words."""

    def outcome() -> Any:
        try:
            return decode_image(bytes(damaged))
        except ValueError as error:
            return str(error)

    data = jpeg(picture(4, 96, 120), exif=exif(1))
    rng, fast = np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(2, len(data))] ^= 1 << rng.integers(8)
        fast += decode_fast(bytes(damaged)) is not None
        assert np.array_equal(outcome(), without(outcome))
    assert fast > 30  # a flipped bit in the pixels is often just another picture


def test_without_simplejpeg_opencv_reads(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture(3, 40, 64))
    expected = decode_image(data)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    jpeg_module._simplejpeg.cache_clear()
    try:
        assert decode_fast(data) is None
        assert np.array_equal(decode_image(data), expected)
    finally:
        jpeg_module._simplejpeg.cache_clear()


@needs_simplejpeg
def test_very_large_pictures_are_left_to_others(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture(3, 40, 64))
    monkeypatch.setattr(jpeg_module, "_MOST_PIXELS", 40 * 64)
    assert decode_fast(data) is not None
    monkeypatch.setattr(jpeg_module, "_MOST_PIXELS", 40 * 64 - 1)
    assert decode_fast(data) is None


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 999}, {"icc_profile": bytes(99)}])
def test_the_header(picture: Picture, options: Any) -> None:
    header = read_header(jpeg(picture(8, 30, 50), exif=exif(6), **options))
    assert header == (30, 50, 6)
    assert header.upright_size == (50, 30)
    assert read_header(jpeg(picture(8, 30, 50), **options)) == (30, 50, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_of_either_byte_order(picture: Picture, order: str) -> None:
    head = b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*")
    entries = [(0x0100, 3, 1, 9), (0x0112, 3, 1, 8)]
    tags = head + struct.pack(f"{order}IH", 8, len(entries))
    tags += b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries) + bytes(4)
    data = jpeg(picture(8, 64, 80), exif=tags)
    header = read_header(data)
    assert header == (64, 80, 8)
    assert header.upright_size == decode_image(data).shape[:2]
    assert decode_part(data, whole, 32).shape == (40, 32, 3)


def test_a_damaged_header_is_never_more_than_unknown(picture: Picture) -> None:
    data = jpeg(picture(8, 30, 50), exif=exif(6))
    rng, known = np.random.default_rng(0), 0
    for _ in range(2000):
        damaged = bytearray(data)
        for place in rng.integers(2, 400, 3):
            damaged[place] = rng.integers(0, 256)
        header = read_header(bytes(damaged))
        known += header is not None
        assert header is None or min(header.height, header.width) >= 1
    assert 200 < known < 2000


def test_a_second_orientation_leaves_it_open(picture: Picture) -> None:
    data = jpeg(picture(8, 30, 50), exif=exif(1))
    tags = exif(6)
    segment = b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags
    assert read_header(data) == (30, 50, 1)
    assert read_header(data[:2] + segment + data[2:]) is None
    end = data.index(b"\xff\xda")  # behind the size, where it is still read
    assert read_header(data[:end] + segment + data[end:]) is None


def test_a_cut_header_is_unknown(picture: Picture) -> None:
    data = jpeg(picture(8, 30, 50), exif=exif(6))
    assert all(read_header(data[:length]) is None for length in range(data.index(b"\xff\xda")))
