"""JPEG headers, and that simplejpeg gives what OpenCV gives."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import defect
from toolkit.data import decode_image
from toolkit.data import jpeg as jpeg_module
from toolkit.data.crop import whole
from toolkit.data.jpeg import decode_fast, read_header
from toolkit.data.orientation import turned
from toolkit.data.reduced import decode_part
from toolkit.data.survey import examine

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
    """Call a function as if simplejpeg were not installed."""

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
        by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), getattr(cv2, f"IMREAD_REDUCED_COLOR_{times}"))
        assert np.array_equal(reduced, by_opencv[:, :, ::-1])


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
    flag = cv2.IMREAD_COLOR if times == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{times}")
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), flag)[:, :, ::-1]
    assert np.array_equal(decode_fast(data, header, times), expected)
    assert times > 1 or np.array_equal(without(lambda: decode_image(data)), expected)


@needs_simplejpeg
@pytest.mark.parametrize("orientation", range(10))
def test_a_rotated_image_is_rotated_at_every_size(picture: Picture, without: Any, orientation: int) -> None:
    data, plain = jpeg(picture(3, 41, 63), exif=exif(orientation)), jpeg(picture(3, 41, 63))
    assert np.array_equal(decode_fast(data), without(lambda: decode_image(data)))
    header = read_header(data)
    assert header is not None
    for times in (2, 8):
        reduced = decode_fast(data, header, times)
        assert reduced is not None
        assert reduced.shape[:2] == tuple(-(-side // times) for side in header.upright_size)
        assert np.array_equal(reduced, turned(decode_fast(plain, None, times), orientation))


@needs_simplejpeg
def test_rare_kinds_are_left_to_pil(picture: Picture, without: Any) -> None:
    data = jpeg(picture(3, 40, 64), "CMYK", subsampling=2)
    assert decode_fast(data) is None
    assert np.array_equal(decode_image(data), without(lambda: decode_image(data)))


@needs_simplejpeg
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.filterwarnings("ignore:.*EXIF")  # PIL, about damaged ones
def test_what_the_check_passes_decodes(
    picture: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: str, progressive: bool
) -> None:
    """Bits flipped anywhere, pieces lost: the check (at an eighth), training crops and whole images agree."""
    data = jpeg(picture(4, 96, 120), mode, exif=exif(6), progressive=progressive)
    file = tmp_path / "damaged.jpg"
    rng, bad = np.random.default_rng(0), 0
    for number in range(200):
        damaged = bytearray(data)
        place = int(rng.integers(2, len(data)))
        if number % 2:
            damaged[place] ^= 1 << rng.integers(8)
        else:
            del damaged[place : place + 30]
        file.write_bytes(damaged)
        problem = examine(str(file)).problem
        assert bool(problem) == bool(defect(file))
        if not problem:
            assert decode_part(bytes(damaged), whole, 8).shape[2] == 3
        bad += bool(problem)
    assert 50 < bad < 200  # a flipped bit in the pixels often just changes the image
    assert capfd.readouterr().err == ""


@needs_simplejpeg
def test_a_damaged_middle_is_noticed(picture: Picture) -> None:
    data = jpeg(picture(4, 200, 240), quality=95)
    middle = len(data) // 2
    for damaged in (data[:middle] + data[middle + 300 :], data[: middle // 2] + data[middle:]):
        assert Image.open(io.BytesIO(damaged)).convert("RGB").size == (240, 200)  # PIL says nothing
        with pytest.raises(ValueError, match="damaged"):
            decode_image(damaged)
        with pytest.raises(ValueError, match="damaged"):
            decode_part(damaged, whole, 8)


@needs_simplejpeg
def test_what_every_viewer_shows_is_not_damage(picture: Picture) -> None:
    data = jpeg(picture(6))
    expected = decode_image(data)
    for sound in (data[:-2], data[:-2] + b"\0\x11" + data[-2:], data + bytes(400), data + b"made by a phone" * 20):
        assert np.array_equal(decode_image(sound), expected)
    with pytest.raises(ValueError, match="damaged"):
        decode_image(data[:-2] + bytes(range(40)) + data[-2:])


def test_without_simplejpeg_pil_reads(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture(3, 40, 64))
    expected = decode_image(data)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    jpeg_module._simplejpeg.cache_clear()
    try:
        assert decode_fast(data) is None
        assert np.array_equal(decode_image(data), expected)
    finally:
        jpeg_module._simplejpeg.cache_clear()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 999}, {"icc_profile": bytes(99)}])
def test_the_header(picture: Picture, options: Any) -> None:
    header = read_header(jpeg(picture(8, 30, 50), exif=exif(6), **options))
    assert header[:3] == (30, 50, 6)
    assert header.upright_size == (50, 30)
    assert read_header(jpeg(picture(8, 30, 50), **options))[:3] == (30, 50, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_of_either_byte_order(picture: Picture, order: str) -> None:
    head = b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*")
    entries = [(0x0100, 3, 1, 9), (0x0112, 3, 1, 8)]
    tags = head + struct.pack(f"{order}IH", 8, len(entries))
    tags += b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries) + bytes(4)
    data = jpeg(picture(8, 64, 80), exif=tags)
    header = read_header(data)
    assert header[:3] == (64, 80, 8)
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
    assert read_header(data)[:3] == (30, 50, 1)
    assert read_header(data[:2] + segment + data[2:]) is None
    end = data.index(b"\xff\xda")  # behind the size, where it is still read
    assert read_header(data[:end] + segment + data[end:]) is None


def test_a_cut_header_is_unknown(picture: Picture) -> None:
    data = jpeg(picture(8, 30, 50), exif=exif(6))
    assert all(read_header(data[:length]) is None for length in range(data.index(b"\xff\xda")))
