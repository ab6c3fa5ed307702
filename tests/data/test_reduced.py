"""Decoding at a reduced size: when, which part, and how near it is to decoding in full."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toolkit.core.errors import DataError
from toolkit.data import Augmentation, BatchLoader, FileImages, Preprocessing, decode_image
from toolkit.data import decode as decode_module
from toolkit.data import reduced as reduced_module
from toolkit.data.crop import Box, whole
from toolkit.data.jpeg import JpegHeader
from toolkit.data.preprocessing import resize
from toolkit.data.reduced import decode_part, read_part, reduction


def jpeg(image: Any, orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, "JPEG", quality=95, exif=exif.tobytes(), **options)
    return stream.getvalue()


def difference(first: Any, second: Any) -> float:
    assert first.shape == second.shape
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize(
    ("height", "width", "least", "times"),
    [
        (447, 500, 224, 1),
        (448, 500, 224, 2),
        (500, 447, 224, 1),
        (896, 900, 224, 4),
        (9000, 9000, 224, 8),
        (8, 8, 1, 8),
    ],
)
def test_a_part_keeps_the_rows_and_columns_that_are_needed(height: int, width: int, least: int, times: int) -> None:
    assert reduction(Box(3, 5, height, width), least) == times


def test_a_reduced_box_is_inside_the_reduced_image() -> None:
    for times in (2, 4, 8):
        for side in range(9, 40):
            for start in range(side - 8):
                box = Box(start, 0, side - start, side).reduced(times)
                assert box.top >= 0
                assert box.top + box.height <= -(-side // times)
                assert abs(box.top - start / times) <= 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_part_is_that_of_the_upright_image(picture: Callable[..., Any], orientation: int) -> None:
    data = jpeg(picture(3, 200, 300), orientation)
    full = decode_image(data)
    asked: list[tuple[int, int]] = []

    def choose(height: int, width: int) -> Box:
        asked.append((height, width))
        return Box(40, 24, 128, 96)

    exact = decode_part(data, choose, 96)
    assert np.array_equal(exact, full[40:168, 24:120])
    small = decode_part(data, choose, 48)
    assert small.shape == (64, 48, 3)
    assert difference(small, resize(exact, 64, 48)) < 2
    assert asked == [full.shape[:2]] * 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_kind_of_jpeg(picture: Callable[..., Any], mode: str, channels: int) -> None:
    data = jpeg(picture(4, 161, 243), mode=mode, progressive=mode == "RGB")
    full = decode_image(data, channels)
    for least, shape in ((161, (161, 243)), (80, (80, 121)), (40, (40, 60)), (5, (20, 30))):
        part = decode_part(data, whole, least, channels)
        if mode == "CMYK":  # decoded by PIL, in full
            assert np.array_equal(part, full)
            continue
        assert part.shape == (*shape, channels)
        assert difference(part, resize(full, *shape)) < 4


def test_other_files_are_decoded_in_full(picture: Callable[..., Any]) -> None:
    image = picture(5, 64, 80)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    assert np.array_equal(decode_part(stream.getvalue(), whole, 8), image)
    alpha = np.dstack([image, image[:, :, :1]])
    stream = io.BytesIO()
    np.save(stream, alpha)
    assert np.array_equal(decode_part(stream.getvalue(), partial(box_of, Box(1, 2, 30, 40)), 8, 4), alpha[1:31, 2:42])


def box_of(box: Box, height: int, width: int) -> Box:
    return box


def test_a_header_that_opencv_reads_otherwise_is_not_trusted(
    picture: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jpeg(picture(6, 64, 80))
    monkeypatch.setattr(reduced_module, "read_header", lambda data: JpegHeader(80, 64, 1))
    for least in (8, 64):
        assert np.array_equal(decode_part(data, whole, least), decode_image(data))


def test_a_cut_jpeg_is_noticed(picture: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "cut.jpg"
    file.write_bytes(jpeg(picture(4, 200, 240))[:2000])
    with pytest.raises(DataError, match=r"cut\.jpg.*damaged"):
        read_part(file, whole, 8)
    file.write_bytes(b"\xff\xd8\xff" + bytes(50) + b"\xff\xd9")
    with pytest.raises(DataError, match=r"cut\.jpg"):
        read_part(file, whole, 8)


def test_an_older_opencv_gives_the_same_pixels(picture: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture(7, 100, 120))
    pixels = decode_part(data, whole, 100), decode_part(data, whole, 25)
    monkeypatch.setattr(decode_module, "_AS_RGB", None)
    for least, expected in zip((100, 25), pixels, strict=True):
        assert np.array_equal(decode_part(data, whole, least), expected)


@pytest.fixture
def photos(picture: Callable[..., Any], tmp_path: Path) -> FileImages:
    paths = []
    for number in range(9):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(jpeg(picture(number, 150 + 9 * number, 170), 1 + number % 8))
    return FileImages(paths, np.arange(9) % 2)


def inputs(images: FileImages, size: int, level: str | None, **options: Any) -> Any:
    augmentation = None if level is None else Augmentation(level, size)
    loader = BatchLoader(
        images, Preprocessing(size, std=(1 / 255,) * 3), batch_size=4, augmentation=augmentation, **options
    )
    return np.concatenate([batch.inputs for batch in loader])


def test_evaluation_sees_what_prediction_sees(photos: FileImages) -> None:
    assert reduction(Box(0, 0, 150, 170), 37) > 1
    preprocessing = Preprocessing(32, std=(1 / 255,) * 3)
    exact = np.stack([preprocessing.apply(photos.read(i)) for i in range(9)])
    assert np.array_equal(inputs(photos, 32, None, fast_decoding=True), exact)
    assert np.array_equal(inputs(photos, 32, "none", fast_decoding=True), exact)


@pytest.mark.parametrize("level", ["standard", "strong"])
def test_training_crops_are_the_same_parts_and_nearly_the_same_pixels(photos: FileImages, level: str) -> None:
    fast = inputs(photos, 24, level, workers=2)
    full = inputs(photos, 24, level, fast_decoding=False)
    assert not np.array_equal(fast, full)
    assert np.abs(fast - full).mean() < 4  # gray levels
    assert np.array_equal(fast, inputs(photos, 24, level, workers=0))


def test_small_images_train_the_same_to_the_bit(photos: FileImages) -> None:
    assert np.array_equal(inputs(photos, 120, "strong"), inputs(photos, 120, "strong", fast_decoding=False))


def test_real_photos_are_near_the_full_decode(assets: Path) -> None:
    """The same part of the image, cut at pixel edges of both: about 0.6 gray levels apart."""
    files = sorted((assets / "datasets" / "imagenet_sample").glob("*.jpg"))[::20]
    differences = []
    for path in files:
        pixels = decode_image(path.read_bytes())
        box = Box(0, 0, *(side // 8 * 8 for side in pixels.shape[:2]))
        for times in (2, 4, 8):
            side = min(box.height, box.width) // times
            small = read_part(path, partial(box_of, box), side)
            assert small.shape == (box.height // times, box.width // times, 3)
            differences.append(difference(small, resize(box.cut(pixels), *small.shape[:2])))
    assert np.mean(differences) < 1.0
    assert np.max(differences) < 4.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trained_network_does_as_well(assets: Path, weights: Callable[[str], Path]) -> None:
    """On real images, the central square of 256 px or more at 128 px, from half the size and in full."""
    import paddle

    network = paddle.vision.models.mobilenet_v2()
    network.set_state_dict(paddle.load(str(weights("mobilenet_v2"))))
    network.eval()
    preprocessing, side = Preprocessing(128, 1.0), 128
    right = {"full": 0, "reduced": 0}
    reduced = 0

    def square(height: int, width: int) -> Box:
        side = min(height, width)
        return Box((height - side) // 2, (width - side) // 2, side, side)

    for number, path in enumerate(sorted((assets / "datasets" / "imagenet_sample").glob("*.jpg"))):
        pixels = decode_image(path.read_bytes())
        reduced += reduction(square(*pixels.shape[:2]), side) > 1
        parts = {"full": square(*pixels.shape[:2]).cut(pixels), "reduced": read_part(path, square, side)}
        batch = paddle.to_tensor(np.stack([preprocessing.apply(part) for part in parts.values()]))
        with paddle.no_grad():
            guesses = network(batch).argmax(axis=1).tolist()
        for name, guess in zip(parts, guesses, strict=True):
            right[name] += guess == number
    assert reduced > 800
    assert right["full"] > 400
    assert right["reduced"] >= right["full"] - 5, right  # of 1000
