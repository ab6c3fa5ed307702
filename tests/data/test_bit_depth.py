"""From the numbers in a file to 8 bits, by the documented rules; the pixels of files that are not of 8 bits."""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from toolkit.config import DataConfig, make_config
from toolkit.data import decode_image
from toolkit.data.bit_depth import Decoding, scale_of

GRAY = np.tile(np.arange(256, dtype=np.uint8), (40, 1))
COLOUR = np.stack([GRAY, GRAY[:, ::-1], np.full_like(GRAY, 90)], axis=2)


def stored(kind: str, values: Any, **options: Any) -> bytes:
    """A PNG, .npy or TIFF file."""
    stream = io.BytesIO()
    if kind == "png":
        bgr = values if values.ndim == 2 else np.ascontiguousarray(values[..., [2, 1, 0, 3][: values.shape[2]]])
        return bytes(cv2.imencode(".png", bgr)[1])
    if kind == "npy":
        np.save(stream, values)
    else:
        tifffile = pytest.importorskip("tifffile")
        photometric = options.pop("photometric", "minisblack" if values.ndim == 2 else "rgb")
        tifffile.imwrite(stream, values, photometric=photometric, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """The same PNG with one more chunk behind its header."""
    return png[:33] + chunk(kind, content) + png[33:]


@pytest.mark.parametrize(
    ("low", "high", "dtype", "expected"),
    [
        (0, 255, "uint16", "8-bit"),
        (0, 256, "uint16", "10-bit"),
        (3, 1023, ">u2", "10-bit"),
        (0, 4095, "uint16", "12-bit"),
        (0, 4096, "int16", "14-bit"),
        (0, 16384, "uint16", "16-bit"),
        (0, 65535, "int32", "16-bit"),
        (0, 65536, "uint32", "24-bit"),
        (0, 2**32 - 1, "uint32", "32-bit"),
        (0, 2**31, "int64", "32-bit"),
        (-5, 100, "int8", "-128 to 127"),
        (-1024, 1016, "int16", "-1024 to 3071"),
        (-3024, 3071, "int16", "-1024 to 3071"),
        (-2000, 32767, "int16", "-1024 to 3071"),
        (-4096, 9, "int16", "-1024 to 3071"),
        (-4097, 9, "int16", "-32768 to 32767"),
        (-32768, 9, "int16", "-32768 to 32767"),
        (-(2**31), 9, "int32", f"{-(2**31):g} to {2**31 - 1:g}"),
        (0, 1, "float32", "0 to 1"),
        (-0.05, 1.08, "float64", "0 to 1"),
        (0, 0.001, "float16", "0 to 1"),
        (-1, 1, "float32", "-1 to 1"),
        (0, 255, "float32", "0 to 255"),
        (-9, 270, "float32", "0 to 255"),
        (0, 4000, "float32", "12-bit"),
        (-1000, 1500, "float32", "-1024 to 3071"),
    ],
)
def test_the_range_decides(low: float, high: float, dtype: str, expected: str) -> None:
    values = np.array([[low, high], [low, low]], dtype)
    scale = scale_of(values, Decoding())
    assert str(scale) == expected
    pixels = scale.apply(values)
    assert pixels.dtype == np.uint8
    assert scale.apply(np.array([scale.low, scale.high])).tolist() == [0, 255]
    exact = (np.clip(values.astype(float), scale.low, scale.high) - scale.low) * 255 / (scale.high - scale.low)
    assert np.abs(pixels - exact).max() <= 1  # the upper bits of a depth are cut off, a window is rounded


def test_what_is_fixed_goes_first() -> None:
    values = np.array([[0, 255, 4095, 9999]], np.uint16)
    assert scale_of(values, Decoding(bit_depth=12)).apply(values).tolist() == [[0, 15, 255, 255]]
    assert scale_of(values[:, :2], Decoding(), highest=4095).apply(values).tolist() == [[0, 15, 255, 255]]
    window = Decoding(window=(-160, 240))
    for dtype in ("int16", "float32", "int64"):
        numbers = np.array([[-1000, -160, 40, 240, 3000]], dtype)
        assert scale_of(numbers, window).apply(numbers).tolist() == [[0, 0, 128, 255, 255]]
    bytes_ = stored("npy", GRAY)
    assert np.array_equal(decode_image(bytes_, 1, decoding=window)[:, :, 0], GRAY)  # 8 bits are what they are


def test_values_that_are_not_numbers() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    assert scale_of(values, Decoding()).apply(values).tolist() == [[0, 255, 0, 128]]
    with pytest.raises(ValueError, match="finite"):
        decode_image(stored("npy", np.full((4, 4), np.nan)))
    with pytest.raises(ValueError, match=r"data\.window"):
        decode_image(stored("npy", np.full((4, 4), 1e12)))
    assert decode_image(stored("npy", GRAY > 100), 1)[0, :, 0].tolist() == [0] * 101 + [255] * 155


@pytest.mark.parametrize("image", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize(
    ("dtype", "times", "plus"),
    [
        ("uint16", 1, 0), ("uint16", 16, 0), ("uint16", 16, 15), ("uint16", 257, 0), ("int16", 16, 0),
        ("uint32", 16, 0), ("int32", 16, 0), ("int16", 16, -1024), ("int8", 1, -128), ("float32", 1 / 255, 0),
        ("float64", 1 / 255, 0), ("float16", 1 / 255, 0), ("float32", 1, 0), ("float32", 2 / 255, -1),
    ],
)  # fmt: skip
def test_files_of_every_depth(image: Any, dtype: str, times: float, plus: float) -> None:
    """The image is the same in any number format: not swapped, wrapped or black."""
    values = (image.astype(float) * times + plus).astype(dtype)
    expected = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    for kind in ("npy", "tiff", "png") if dtype == "uint16" else ("npy", "tiff"):
        data = stored(kind, values)
        assert np.abs(decode_image(data).astype(int) - expected).max() <= 1, kind
        assert np.abs(decode_image(data, 1)[:, :, 0] - expected @ [0.299, 0.587, 0.114]).max() <= 1.6, kind


@pytest.mark.parametrize("options", [{"planarconfig": "separate"}, {"compression": "zlib"}, {"byteorder": ">"}])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_tiffs_of_every_layout(options: Any, dtype: str) -> None:
    scale = 257 if dtype == "uint16" else 1 / 255
    values = (COLOUR.astype(float) * scale).astype(dtype)
    if "planarconfig" in options:
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    assert np.abs(decode_image(stored("tiff", values, **options)).astype(int) - COLOUR).max() <= 1
    dark = {**options, "extratags": [(341, "H" if dtype == "uint16" else "f", 1, 4095, True)]}
    if dtype == "uint16" and "planarconfig" not in options:  # SMaxSampleValue
        pixels = decode_image(stored("tiff", COLOUR.astype(dtype), **dark))
        assert np.array_equal(pixels, COLOUR >> 4)


def test_white_is_zero_in_some_tiffs() -> None:
    for values in (GRAY.astype(np.uint16) * 257, GRAY):
        pixels = decode_image(stored("tiff", values, photometric="miniswhite"), 1)
        assert np.array_equal(pixels[:, :, 0], 255 - GRAY)


def test_other_colours_of_16_bits_are_left_to_pil() -> None:
    cmyk = np.dstack([(255 - COLOUR.astype(np.uint16)) * 257, np.zeros_like(GRAY, np.uint16)])
    pixels = decode_image(stored("tiff", cmyk, photometric="separated"))
    assert np.abs(pixels.astype(int) - COLOUR).max() <= 1


def test_twelve_bits_a_sample() -> None:
    """Two samples in three bytes, TIFF 6.0: the file declares the depth, regardless of its values."""
    from PIL import TiffImagePlugin

    values = GRAY[:, :64].astype(np.uint16)
    pairs = values.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags = {256: 64, 257: 40, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: 40, 279: packed.size}
    for tag, value in tags.items():
        directory[tag] = value
    data = b"II*\0\x08\0\0\0" + directory.tobytes(8) + packed.astype(np.uint8).tobytes()
    assert np.array_equal(decode_image(data, 1)[:, :, 0], values >> 4)


def test_what_a_file_declares() -> None:
    dark = GRAY.astype(np.uint16) * 3  # up to 765: 10 bits by default
    png = stored("png", dark)
    assert np.array_equal(decode_image(png, 1)[:, :, 0], dark >> 2)
    assert np.array_equal(decode_image(with_chunk(png, b"sBIT", b"\x0c"), 1)[:, :, 0], dark >> 4)
    full = stored("png", GRAY.astype(np.uint16) * 257)  # scaled to 16 bits, as the standard has it
    assert np.array_equal(decode_image(with_chunk(full, b"sBIT", b"\x0c"), 1)[:, :, 0], GRAY)
    for most, expected in ((4095, dark >> 4), (65535, dark >> 2), (1000, dark >> 2)):
        pgm = f"P5\n# made by hand\n256 40\n{most}\n".encode() + dark.astype(">u2").tobytes()
        assert np.array_equal(decode_image(pgm, 1)[:, :, 0], expected)
        with pytest.raises(ValueError, match="too early"):
            decode_image(pgm[:-1])
    ppm = b"P6 256 40 4095 " + (COLOUR.astype(np.uint16) * 16).astype(">u2").tobytes()
    assert np.array_equal(decode_image(ppm), COLOUR)


# Alpha


def alpha_files() -> dict[str, bytes]:
    """A black ring on transparency, stored in every way."""
    ring = np.zeros((64, 64, 4), np.uint8)
    cv2.circle(ring, (32, 32), 20, (0, 0, 0, 255), 4)
    files = {}

    def save(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        files[name] = stream.getvalue()

    rgba, opaque = Image.fromarray(ring), ring[..., 3]
    save("png", rgba, "PNG")
    save("webp", rgba, "WEBP", lossless=True)
    save("tiff", rgba, "TIFF")
    save("avif", rgba, "AVIF", quality=100)
    save("gray png", Image.fromarray(ring[..., 2:]), "PNG")
    palette = Image.fromarray(np.where(opaque > 0, 1, 0).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 0, 0, 0])
    save("palette png", palette, "PNG", transparency=b"\0\xff")
    save("gif", palette, "GIF", transparency=0)
    key = Image.fromarray(np.where(opaque[..., None] > 0, 0, 1).astype(np.uint8).repeat(3, 2))
    save("tRNS png", key, "PNG", transparency=(1, 1, 1))
    deep = ring.astype(np.uint16) * 257
    files["16-bit png"] = stored("png", deep)
    files["16-bit tiff"] = stored("tiff", deep, extrasamples=["unassalpha"])
    gray = struct.pack(">IIBBBBB", 64, 64, 16, 4, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in deep[..., 2:].astype(">u2"))
    parts = [chunk(b"IHDR", gray), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    files["16-bit gray png"] = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    return files


def test_transparency_is_laid_on_white() -> None:
    for name, data in alpha_files().items():
        for channels in (1, 3):
            pixels = decode_image(data, channels)
            assert pixels.shape == (64, 64, channels), name
            assert pixels[0, 0].tolist() == [255] * channels, name
            assert pixels[32, 12].max() <= 2, name
            for alpha in ("black", "drop"):
                dark = decode_image(data, channels, decoding=Decoding(alpha=alpha))  # type: ignore[arg-type]
                assert dark.max() <= (2 if alpha == "black" or "tRNS" not in name else 1), name
        if "gray" not in name:
            assert decode_image(data, 4)[0, 0, 3] == 0, name  # unchanged if it is a channel
            assert decode_image(data, 4)[32, 12, 3] >= 253, name
        else:
            assert decode_image(data, 2)[0, 0].tolist() == [0, 0], name


def test_half_transparent_pixels_are_mixed() -> None:
    alpha = GRAY
    colours = np.dstack([np.full_like(GRAY, 200), np.full_like(GRAY, 10), np.zeros_like(GRAY), alpha])
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, "PNG")
    pixels = decode_image(stream.getvalue())
    expected = np.floor((colours[..., :3] * (alpha / 255)[..., None] + 255 - alpha[..., None]) + 0.5)
    assert np.abs(pixels - expected).max() <= 1
    assert pixels[0, 255].tolist() == [200, 10, 0]
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert decode_image(stream.getvalue(), decoding=Decoding(alpha="drop"))[0, 0].tolist() == [200, 10, 0]


def test_the_options() -> None:
    job = {"name": "x", "model": {"name": "resnet18"}}
    config = make_config({**job, "data": {"window": [-160, 240], "alpha": "black"}})
    assert Decoding.of(config.data) == Decoding(None, (-160.0, 240.0), "black")
    assert Decoding.of(DataConfig()) == Decoding()
    for bad, words in (
        ({"window": [5, 5]}, "lower first"), ({"window": [0, float("nan")]}, "lower first"),
        ({"bit_depth": 7}, "bit_depth"), ({"alpha": "pink"}, "alpha"), ({"window": [0, 1], "bit_depth": 12}, "one of"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=words):
            make_config({**job, "data": bad})


def test_the_error_names_tifffile(monkeypatch: pytest.MonkeyPatch) -> None:
    data = stored("tiff", (COLOUR / 255).astype(np.float16))
    importlib.import_module("tifffile")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ValueError, match="float16 RGB TIFF, which needs the package tifffile: pip install tifffile"):
        decode_image(data)
