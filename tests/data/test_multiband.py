"""Files of any number of channels."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import MANY, bands, defect
from toolkit.core.errors import DataError
from toolkit.data import (
    decode_image,
    is_image_file,
    read_image,
)  # fmt: skip
from toolkit.data.bit_depth import Decoding
from toolkit.data.tiff import bands_last


def npy(pixels: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def encoded(pixels: Any, mode: str, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if image.mode == mode else image.convert(mode)).save(stream, kind, **options)
    return stream.getvalue()


def test_extensions() -> None:
    assert all(is_image_file(Path(name)) for name in ("a.npy", "a.tif", "A.TIFF"))


@pytest.mark.parametrize("count", [*MANY, 3])
def test_arrays_in_files(count: int, tmp_path: Path) -> None:
    pixels = bands(count)
    file = tmp_path / "x.npy"
    file.write_bytes(npy(pixels))
    assert defect(file, count) is None
    assert np.array_equal(read_image(file, count), pixels)
    wide = pixels.astype(np.uint16) * 256 + 77
    assert np.array_equal(decode_image(npy(wide), count), pixels)  # the upper byte
    assert np.array_equal(decode_image(npy(wide.astype(">u2")), count), pixels)
    assert np.array_equal(decode_image(npy(np.asfortranarray(pixels)), count), pixels)


def test_gray_and_colour_become_each_other() -> None:
    gray, colour = bands(1), bands(3)
    assert np.array_equal(decode_image(npy(gray[:, :, 0])), np.repeat(gray, 3, axis=2))
    assert np.array_equal(decode_image(npy(gray[:, :, 0]), 1), gray)
    luma = colour @ [0.299, 0.587, 0.114]
    for data in (npy(colour), encoded(colour, "RGB", "PNG"), encoded(colour, "RGB", "TIFF")):
        result = decode_image(data, 1)
        assert result.shape == (40, 48, 1)
        assert np.abs(result[:, :, 0] - luma).max() <= 0.51
    assert np.array_equal(decode_image(encoded(gray[:, :, 0], "L", "PNG"), 1), gray)
    jpeg = encoded(colour, "RGB", "JPEG", quality=95)
    assert np.array_equal(decode_image(jpeg, 1)[:, :, 0], cv2.cvtColor(decode_image(jpeg), cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_a_channel_where_it_is_wanted(kind: str) -> None:
    pixels = bands(4)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encoded(pixels, "RGBA", kind, **options)
    assert np.array_equal(decode_image(data, 4), pixels)
    assert np.array_equal(decode_image(data, decoding=Decoding(alpha="drop")), pixels[:, :, :3])
    if kind != "WEBP":
        assert np.array_equal(decode_image(encoded(bands(2), "LA", kind), 2), bands(2))


def test_transparent_palette_has_four_channels() -> None:
    data = encoded(bands(3), "P", "PNG", transparency=0)
    assert decode_image(data, 4).shape == (40, 48, 4)


@pytest.mark.parametrize(
    ("data", "channels", "message"),
    [
        (encoded(bands(3), "RGB", "PNG"), 4, "3 channels, expected 4"),
        (encoded(bands(3), "RGB", "JPEG"), 4, "3 channels, expected 4"),
        (encoded(bands(3), "CMYK", "JPEG"), 4, "3 channels, expected 4"),
        (encoded(bands(3), "L", "PNG"), 2, "1 channel, expected 2"),
        (encoded(bands(4), "RGBA", "PNG"), 13, "4 channels, expected 13"),
        (npy(bands(6)), 13, "6 channels, expected 13"),
        (npy(bands(13)), 3, "13 channels, expected 3"),
        (npy(bands(4)), 1, "4 channels, expected 1"),
        (npy(bands(4).astype(np.complex64)), 4, "complex64 pixels, expected whole or floating-point numbers"),
        (npy(np.full((4, 4), np.nan)), 1, "none of its values is a finite number"),
        (npy(np.full((4, 4), 1e12)), 1, "values from 1e.12 to 1e.12: data.window"),
        (npy(bands(1)).replace(b"(40, 48, 1)", b"(9999999, 9)"[:11]), 1, "damaged"),
        (npy(bands(1)).replace(b"(40, 48, 1)", b"(9e9, 48,1)"), 1, "damaged"),
        (npy(bands(1)).replace(b"(40, 48, 1)", b"(99999, 99)"), 1, "damaged"),
        (npy(np.zeros(5, np.uint8)), 1, r"an array \[5\], expected \[H, W\]"),
        (npy(np.zeros((0, 4, 3), np.uint8)), 3, r"an array \[0, 4, 3\]"),
        (npy(np.array([{"a": 1}])), 3, "damaged"),
        (npy(bands(4))[:-9], 4, "damaged"),
        (b"\x93NUMPY\x01\x00v", 3, "damaged"),
        (b"II*\0" + bytes(40), 6, "not an image"),
        (b"<html>", 4, "not an image"),
        (b"", 4, "empty"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # PIL, about the damaged TIFF
def test_misfits_are_found_before_and_when_reading(data: bytes, channels: int, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.img"
    file.write_bytes(data)
    with pytest.raises(DataError, match=rf"x\.img: .*{message}") as caught:
        read_image(file, channels)
    assert "\n" not in str(caught.value)
    assert defect(file, channels) is not None
    assert str(defect(file, channels)) in caught.value.message


def test_cut_files_with_alpha_are_noticed(tmp_path: Path) -> None:
    whole = encoded(bands(4, 100, 100), "RGBA", "PNG")
    file = tmp_path / "cut.png"
    for share in (0.1, 0.5, 0.99):
        file.write_bytes(whole[: int(len(whole) * share)])
        assert defect(file, 4)
        with pytest.raises(DataError, match=r"cut\.png"):
            read_image(file, 4)


def five_bands() -> bytes:
    """An uncompressed TIFF of 5 bands, written by hand: PIL takes it for RGB with trailing data."""
    from PIL import TiffImagePlugin

    pixels = bands(5, 8, 8)
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    values = {256: 8, 257: 8, 258: (8,) * 5, 259: 1, 262: 2, 277: 5, 278: 8, 279: pixels.size, 284: 1, 338: (0, 0)}
    for tag, value in values.items():
        directory[tag] = value
    directory[273] = 0  # PIL adds where the directory ends
    return b"II*\0\x08\0\0\0" + directory.tobytes(8) + pixels.tobytes()


def test_bands_of_a_tiff_are_not_dropped_in_silence(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    with pytest.raises(ValueError, match="5 channels, expected 1 or 3"):
        decode_image(five_bands())
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ValueError, match="5 channels, expected 4"):
        decode_image(five_bands(), 4)
    with pytest.raises(ValueError, match="pip install tifffile"):
        decode_image(five_bands(), 5)
    assert capfd.readouterr().err == ""


def test_bands_of_a_tiff_are_read_by_tifffile(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = bands(5, 8, 8)

    class Series:
        axes = "SYX"

        def asarray(self) -> Any:
            return np.moveaxis(pixels, -1, 0).astype(np.uint16) << 8

    class TiffFile:
        series = (Series(),)

        def __init__(self, stream: Any) -> None:
            assert stream.read(4) == b"II*\0"

        def __enter__(self) -> TiffFile:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    module = ModuleType("tifffile")
    module.TiffFile = TiffFile  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tifffile", module)
    assert np.array_equal(decode_image(five_bands(), 5), pixels)
    with pytest.raises(ValueError, match="5 channels, expected 13"):
        decode_image(five_bands(), 13)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("count", [2, 4, 5, 13])
def test_real_tiffs(count: int, compression: str | None, planar: str) -> None:
    pytest.importorskip("tifffile")
    tifffile = importlib.import_module("tifffile")
    pixels = bands(count)
    stream = io.BytesIO()
    written = pixels if planar == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    tifffile.imwrite(stream, written, photometric="minisblack", planarconfig=planar, compression=compression)
    assert np.array_equal(decode_image(stream.getvalue(), count), pixels)
    with pytest.raises(ValueError, match=f"{count} channels, expected 7"):
        decode_image(stream.getvalue(), 7)
    for share in (0.2, 0.7):
        with pytest.raises(ValueError, match=r"unreadable|damaged"):
            decode_image(stream.getvalue()[: int(share * len(stream.getvalue()))], count)


def test_axes_of_a_tiff() -> None:
    pixels = bands(5)
    assert np.array_equal(bands_last(pixels, "YXS"), pixels)
    assert np.array_equal(bands_last(np.moveaxis(pixels, -1, 0), "QYX"), pixels)
    assert bands_last(pixels[:, :, 0], "YX").shape == (40, 48, 1)
    with pytest.raises(ValueError, match="axes TZYX"):
        bands_last(np.zeros((2, 2, 4, 4), np.uint8), "TZYX")
