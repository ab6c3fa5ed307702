"""Images are upright with any OpenCV: 4.10 does not turn WebP, 5.0 does not turn AVIF."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data.conftest import bands
from toolkit.data import decode_image
from toolkit.data.crop import whole
from toolkit.data.reduced import decode_part

_FORMATS = [
    ("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("AVIF", {"quality": 95}),
]  # fmt: skip


def stored(kind: str, orientation: int, mode: str = "RGB", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(bands(3, 40, 64)).convert(mode).save(stream, kind, exif=exif.tobytes(), **options)
    return stream.getvalue()


def upright(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.fixture(params=["turns", "does not turn", "cannot read"])
def opencv(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenCV that applies EXIF orientation wherever it can, or nowhere, or that reads nothing."""
    real = cv2.imdecode

    def imdecode(data: Any, flags: int) -> Any:
        if request.param == "cannot read":
            return None
        if request.param == "does not turn":
            return real(data, flags if flags < 0 else flags | cv2.IMREAD_IGNORE_ORIENTATION)
        pixels = real(data, flags | cv2.IMREAD_IGNORE_ORIENTATION if flags >= 0 else flags)
        orientation = Image.open(io.BytesIO(data.tobytes())).getexif().get(0x0112, 1)
        return np.ascontiguousarray(np.rot90(pixels, -1)) if orientation == 6 and flags >= 0 else pixels

    monkeypatch.setattr(cv2, "imdecode", imdecode)


@pytest.mark.usefixtures("opencv")
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("kind", "options"), _FORMATS, ids=[kind for kind, _ in _FORMATS])
def test_it_does_not_depend_on_opencv(kind: str, options: Any, orientation: int) -> None:
    data = stored(kind, orientation, **options)
    assert decode_image(data).shape == ((64, 40, 3) if orientation == 6 else (40, 64, 3))
    assert np.array_equal(decode_image(data), upright(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), _FORMATS, ids=[kind for kind, _ in _FORMATS])
def test_all_orientations(kind: str, options: Any, orientation: int) -> None:
    for mode in ("RGB", "L", "CMYK") if kind == "JPEG" else ("RGB", "RGBA", "L") if kind != "AVIF" else ("RGB", "RGBA"):
        data = stored(kind, orientation, mode, **options)
        assert np.array_equal(decode_image(data), upright(data)), mode
        assert np.array_equal(decode_part(data, whole, 4).shape[:2], np.array(upright(data).shape[:2]) // 8) or (
            kind != "JPEG" or mode == "CMYK"
        )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_files_are_turned_too(orientation: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    plain = bands(3, 40, 64)
    expected = upright(stored("PNG", orientation))
    for dtype, factor in (("uint16", 257), ("float32", 1 / 255), ("float16", 1 / 255), ("int8", None)):
        stream = io.BytesIO()
        values = (plain.astype(float) * factor if factor else plain.astype(int) - 128).astype(dtype)
        tifffile.imwrite(stream, values, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
        assert np.abs(decode_image(stream.getvalue()).astype(int) - expected).max() <= 1, dtype
    png = bytes(cv2.imencode(".png", (plain[:, :, ::-1].astype(np.uint16) * 257))[1])
    exif = stored("PNG", orientation)
    start = exif.index(b"eXIf") - 4
    with_exif = png[:33] + exif[start : start + 12 + int.from_bytes(exif[start : start + 4], "big")] + png[33:]
    assert np.array_equal(decode_image(with_exif), expected)


def test_animations_show_their_first_frame_and_profiles_change_nothing() -> None:
    frames = [Image.fromarray(bands(3, seed=seed)) for seed in (1, 2)]
    for kind, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 100})):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=50, **options)
        data = stream.getvalue()
        assert np.array_equal(decode_image(data), upright(data)), kind
        assert np.abs(decode_image(data).astype(int) - np.asarray(frames[0])).mean() < 12, kind
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        plain, with_profile = io.BytesIO(), io.BytesIO()
        frames[0].save(plain, kind)
        frames[0].save(with_profile, kind, icc_profile=bytes(200))
        assert np.array_equal(decode_image(plain.getvalue()), decode_image(with_profile.getvalue())), kind


def test_formats_that_depend_on_opencvs_version_avoid_opencv(tmp_path: Path) -> None:
    """Another OpenCV (``TOOLKIT_OTHER_OPENCV``: a folder from ``pip install --target``) gives the same pixels."""
    other = os.environ.get("TOOLKIT_OTHER_OPENCV", "")
    for number, (kind, options) in enumerate(_FORMATS):
        for orientation in range(1, 9):
            (tmp_path / f"{number}{orientation}.img").write_bytes(stored(kind, orientation, **options))
    code = (
        f"import sys; sys.path[:0] = [p for p in [{other!r}] if p]\n"
        "import hashlib, pathlib; from toolkit.data import read_image\n"
        "for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    pixels = read_image(file); print(pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    images = [upright(file.read_bytes()) for file in sorted(tmp_path.iterdir())]
    assert done.stdout.split("\n")[:-1] == [
        f"{image.shape} {hashlib.sha256(image.tobytes()).hexdigest()}" for image in images
    ]
