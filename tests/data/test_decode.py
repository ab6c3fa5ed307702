from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import defect
from toolkit.core.errors import DataError
from toolkit.data import decode_image, is_image_file, read_image


def encoded(image: Any, mode: str, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_rgb_pixels(picture: Callable[..., Any], kind: str) -> None:
    image = picture(1)
    assert np.array_equal(decode_image(encoded(image, "RGB", kind)), image)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("GIF", {})])
def test_lossy_formats_give_nearly_the_rgb_pixels(picture: Callable[..., Any], kind: str, options: Any) -> None:
    image = picture(1)
    decoded = decode_image(encoded(image, "RGB", kind, **options))
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 12
    swapped = np.abs(decoded[:, :, ::-1].astype(int) - image).mean()
    assert swapped > 30  # red and blue are where they belong


def test_gray_and_palette_become_rgb(picture: Callable[..., Any]) -> None:
    image = picture(2)
    gray = decode_image(encoded(image, "L", "PNG"))
    assert gray.shape == image.shape
    assert np.ptp(gray, axis=2).max() == 0
    palette = decode_image(encoded(image, "P", "PNG"))
    assert palette.shape == image.shape


def test_cmyk_jpeg_becomes_rgb() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :, 0] = 200
    decoded = decode_image(encoded(image, "CMYK", "JPEG", quality=95))
    assert decoded.shape == image.shape
    assert decoded[..., 0].mean() > 150 > 60 > decoded[..., 2].mean()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    data = cv2.imencode(".png", deep)[1].tobytes()
    assert np.abs(decode_image(data)[:, :, 0].astype(int) - (deep >> 8)).max() <= 1


def test_exif_orientation_is_applied(picture: Callable[..., Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the right side is the top
    image = picture(3, 40, 64)
    turned = decode_image(encoded(image, "RGB", "JPEG", exif=exif.tobytes(), quality=95))
    assert turned.shape == (64, 40, 3)
    assert np.abs(turned.astype(int) - np.rot90(image, -1)).mean() < 12


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_jpeg_is_noticed(
    picture: Callable[..., Any], tmp_path: Path, share: float, progressive: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(picture(4, 200, 240), "RGB", "JPEG", progressive=progressive)
    file = tmp_path / "cut.jpg"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"cut\.jpg.*damaged"):
        read_image(file)
    assert defect(file)
    assert capfd.readouterr().err == ""


def test_cut_png_is_noticed(picture: Callable[..., Any], tmp_path: Path) -> None:
    whole = encoded(picture(5, 100, 100), "RGB", "PNG")
    for share in (0.5, 0.99):
        file = tmp_path / "cut.png"
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match=r"cut\.png"):
            read_image(file)
        assert defect(file)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"<html>404 not found</html>" * 20, "not an image"),
        ("head.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged"),
        ("head.png", b"\x89PNG\r\n\x1a\n", "damaged|not an image"),
        ("zeros.png", bytes(500), "not an image"),
    ],
)
def test_files_that_are_not_images_are_named(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(DataError, match=f"{name}.*({text})") as caught:
        read_image(file)
    assert "\n" not in str(caught.value)
    assert defect(file)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg.*No such file"):
        read_image(tmp_path / "gone.jpg")
    assert defect(tmp_path / "gone.jpg") == "missing"
    with pytest.raises(DataError):
        read_image(tmp_path)


def test_bytes_after_the_end_marker_do_no_harm(picture: Callable[..., Any], tmp_path: Path) -> None:
    whole = encoded(picture(6), "RGB", "JPEG")
    expected = decode_image(whole)
    for rest in (bytes(300), b"made by a phone" * 20):
        file = tmp_path / "long.jpg"
        file.write_bytes(whole + rest)
        assert np.array_equal(read_image(file), expected)
        assert defect(file) is None


@pytest.mark.parametrize("name", ["图片 一.jpg", 'zażółć\'s "x".png', "ärger/ñ.jpg"])
def test_unicode_paths(picture: Callable[..., Any], save: Callable[..., Path], tmp_path: Path, name: str) -> None:
    file = save(tmp_path / name, picture(7))
    assert read_image(file).shape == (40, 48, 3)
    assert defect(file) is None


def test_extension_decides_what_is_looked_at() -> None:
    assert is_image_file(Path("a/B.JPG"))
    assert is_image_file(Path("x.tiff"))
    assert not is_image_file(Path(".hidden.jpg"))
    assert not is_image_file(Path("notes.txt"))
    assert not is_image_file(Path("jpg"))
