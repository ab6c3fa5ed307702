"""The check of every file before training: everything it passes can be decoded, everything it refuses is named."""

from __future__ import annotations

import io
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import bands
from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import build_data, read_image
from toolkit.data import survey as survey_module
from toolkit.data.bit_depth import Decoding
from toolkit.data.survey import examine, survey

MakeFolder = Callable[..., Path]
NOISE = np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8)


def encoded(kind: str, image: Any = NOISE, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def damaged_files() -> dict[str, bytes]:
    """Files that are truncated, corrupted in the middle, or claim too much."""
    files = {}
    for name, kind, options in (
        ("jpg", "JPEG", {}), ("progressive.jpg", "JPEG", {"progressive": True}), ("png", "PNG", {}),
        ("webp", "WEBP", {}), ("gif", "GIF", {}), ("bmp", "BMP", {}), ("tif", "TIFF", {}),
        ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
        ("ppm", "PPM", {}), ("avif", "AVIF", {}),
    ):  # fmt: skip
        data = encoded(kind, **options)
        files[f"cut.{name}"] = data[: len(data) * 6 // 10]
        files[f"short.{name}"] = data[:-9]
    png, jpeg = bytearray(encoded("PNG")), encoded("JPEG", quality=90)
    for i in range(len(png) // 2, len(png) // 2 + 40):
        png[i] ^= 0x5A
    files["middle.png"] = bytes(png)
    files["middle.jpg"] = jpeg[: len(jpeg) // 2] + jpeg[len(jpeg) // 2 + 300 :]
    deep = np.full((50, 60), 900, np.uint16)
    deep[::2] = 40000
    stream = io.BytesIO()
    np.save(stream, deep)
    files["cut.npy"] = stream.getvalue()[:-50]
    files["cut16.tif"] = encoded("TIFF", deep)[:-50]
    files["cut16.png"] = encoded("PNG", deep)[:-20]
    files["empty.png"] = b""
    bomb = bytearray(encoded("PNG"))
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    files["bomb.png"] = bytes(bomb)
    frame = jpeg.index(b"\xff\xc0")
    files["bomb.jpg"] = jpeg[: frame + 5] + b"\xff\xff\xff\xff" + jpeg[frame + 9 :]
    return files


@pytest.mark.filterwarnings("ignore:.*EXIF|.*Truncated")
def test_what_training_would_refuse_is_found_before(make_folder: MakeFolder, capfd: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1})
    bad = damaged_files()
    for name, data in bad.items():
        (root / "train/a" / name).write_bytes(data)
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_image(root / "train/a" / name)
    with pytest.raises(DataError, match=rf"{len(bad)} of {len(bad) + 8} images cannot be read") as caught:
        build_data(DataConfig(root=root))
    assert "on_bad_image: skip" in str(caught.value)
    data = build_data(DataConfig(root=root, on_bad_image="skip"))
    assert len(data.train) == 6
    assert [data.train.read(i).shape for i in range(6)] == [(40, 48, 3)] * 6
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "images: 8, all 48x40, RGB 8"
    assert f"{len(bad)} of {len(bad) + 8} images cannot be read and are left out" in said[1]


def test_memory_is_not_taken_by_a_claim(tmp_path: Path) -> None:
    for name in ("bomb.png", "bomb.jpg"):
        file = tmp_path / name
        file.write_bytes(damaged_files()[name])
        assert "too many pixels" in examine(str(file)).problem
    assert round(2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6) == 179  # PIL's limit, as the page has it


def test_sizes_and_modes_in_one_line(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 4, "b": 4})
    gray = bands(1)[:, :, 0]
    others = {
        "g.jpg": encoded("JPEG", gray), "g.png": encoded("PNG", gray), "rgba.png": encoded("PNG", bands(4, 100, 300)),
        "p.gif": encoded("GIF", gray), "la.png": encoded("PNG", bands(2)),
        "deep.png": encoded("PNG", gray * np.uint16(16)),
    }  # fmt: skip
    for name, data in others.items():
        (root / "a" / name).write_bytes(data)
    Image.fromarray(bands(4, 20, 10), "CMYK").save(root / "a" / "cmyk.jpg")
    build_data(DataConfig(root=root))
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        "images: 15, 10x20 to 300x100 (median 48x40), RGB 8, "
        "gray 2, CMYK 1, 16-bit gray 1, gray + alpha 1, palette 1, RGBA 1"
    ), first
    assert "1 image(s) that are not 8-bit are read as 12-bit, by their values" in second
    assert "data.bit_depth or data.window" in second


def test_mixed_depths_get_a_warning_with_its_cure(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 2, "b": 2})
    for number, times in enumerate((16, 16, 2)):
        (root / "a" / f"deep{number}.png").write_bytes(
            encoded("PNG", bands(1, seed=number)[:, :, 0] * np.uint16(times))
        )
    build_data(DataConfig(root=root))
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert "2 as 12-bit" in warning
    assert "1 as 10-bit" in warning
    assert warning.endswith("set data.bit_depth: 12")
    data = build_data(DataConfig(root=root, bit_depth=12))
    assert "warning" not in capsys.readouterr().err
    deep = next(i for i in range(len(data.train)) if "deep" in data.train.path(i))
    assert data.train.decoding == Decoding(bit_depth=12)
    assert np.array_equal(data.train.read(deep), read_image(data.train.path(deep), decoding=Decoding(bit_depth=12)))


def test_images_that_show_nothing_get_a_warning(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 5, "b": 5})
    build_data(DataConfig(root=root))
    assert "constant" not in capsys.readouterr().err
    mask = (bands(1)[:, :, 0] > 100).astype(np.uint8)
    for number in range(4):
        white = np.dstack([np.full((20, 20, 3), 255, np.uint8), np.where(np.eye(20) > 0, 255, 0).astype(np.uint8)])
        data = encoded("PNG", white) if number < 2 else encoded("PNG", mask)
        (root / "a" / f"{number}.png").write_bytes(data)
    build_data(DataConfig(root=root))
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if "constant" in line)
    assert "4 of 14 images are nearly constant" in warning
    assert "0.png" in warning
    assert "transparency is laid on white: try another data.alpha" in warning
    build_data(DataConfig(root=root, alpha="black"))
    assert "2 of 14 images are nearly constant" in capsys.readouterr().err


def test_gaps_are_reported(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 2, "b": 2})
    values = bands(1)[:, :, 0] / 255
    values[0, 0] = np.nan
    np.save(root / "a" / "hole.npy", values)
    build_data(DataConfig(root=root))
    assert "1 of 5 images contain NaN or infinite values: " in capsys.readouterr().err


def test_a_second_run_reads_what_changed(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = make_folder({"a": 6, "b": 6}), tmp_path / "checked"
    files = sorted(map(str, root.rglob("*.jpg")))
    seen: list[str] = []
    real = survey_module.examine
    monkeypatch.setattr(survey_module, "examine", lambda path, **how: (seen.append(path), real(path, **how))[1])

    def run(files: Any = files, channels: int = 3, decoding: Decoding = Decoding()) -> list[str]:  # noqa: B008
        seen.clear()
        facts = survey(files, channels, decoding, 60, cache)
        assert facts == [real(path, channels, decoding) for path in files]
        return sorted(seen)

    assert run() == files
    assert run() == []
    assert run([*files, files[0]]) == []
    Path(files[3]).write_bytes(Path(files[3]).read_bytes()[:500])
    later = time.time_ns() + 10**9
    os.utime(files[4], ns=(later, later))
    assert run() == files[3:5]
    Path(files[5]).unlink()
    assert run() == files[5:6]
    assert run([files[0], *files[6:]]) == []  # some of them; results for the others are kept
    assert run() == files[5:6]
    assert run(decoding=Decoding(alpha="black")) == files  # another decoding needs another check
    assert run(channels=1) == files
    for file in cache.iterdir():
        file.write_bytes(b"damaged")
    assert run() == files
    assert run() == files[5:6]
