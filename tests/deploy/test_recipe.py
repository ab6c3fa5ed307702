"""``inference.yml`` alone is enough: a reader who has only its text, OpenCV and NumPy makes the same input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from toolkit.data import Preprocessing, read_image
from toolkit.data.bit_depth import Decoding
from toolkit.deploy import Predictor
from toolkit.deploy.recipe import preprocessing_steps


def decoded_by_hand(path: Path, facts: dict[str, Any]) -> Any:
    """The steps ``decode`` to ``colour`` of the text, for PNG and JPEG files; OpenCV applies a JPEG's orientation."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if path.suffix == ".png" else cv2.IMREAD_COLOR)
    assert image is not None
    deep = image.dtype == np.uint16
    image = image[:, :, None] if image.ndim == 2 else image
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(int)
        colour = image[:, :, :3].astype(int)
        level = {"white": 255, "black": 0}.get(facts["alpha"])
        image = colour if level is None else (colour * alpha + level * (255 - alpha) + 127) // 255
    if deep and facts["window"]:
        low, high = facts["window"]
        image = np.rint((np.clip(image.astype(float), low, high) - low) * 255 / (high - low))
    elif deep:
        depth = facts["bit_depth"] or next(b for b in (8, 10, 12, 14, 16, 24, 32) if image.max() < 2**b)
        image = np.clip(image, 0, 2**depth - 1) >> (depth - 8)
    image = image.astype(np.uint8)
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[:, :, ::-1]
    return (
        image if len(facts["mean"]) == 3 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    )


def by_hand(path: Path, facts: dict[str, Any], numbers: tuple[int, int]) -> Any:
    """All steps of the text; ``numbers``: the side after resizing and the margin, as the text has them."""
    image = decoded_by_hand(path, facts)
    size, (resized, margin) = facts["image_size"], numbers
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side].astype(int)
    while side >= 2 * resized:
        side //= 2
        a, b, c, d = (image[i : 2 * side : 2, j : 2 * side : 2] for i in (0, 1) for j in (0, 1))
        image = (a + b + c + d + 2) // 4
    image = image.astype(np.uint8)
    if side != resized:
        image = cv2.resize(image, (resized, resized), interpolation=cv2.INTER_LINEAR).reshape(resized, resized, -1)
    image = image[margin : margin + size, margin : margin + size]
    normal = (image / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    return normal.transpose(2, 0, 1).astype(np.float32)


def numbers_of(steps: list[str]) -> tuple[int, int]:
    """The side after resizing and the margin, read from the text."""
    said = dict(step.split(": ", 1) for step in steps)
    return int(said["resize"].split("if side is not ")[1].split(",")[0]), int(said["centre"].split()[-2])


def check(path: Path, preprocessing: Preprocessing) -> None:
    facts = yaml.safe_load(yaml.safe_dump({**preprocessing.to_dict(), "steps": preprocessing_steps(preprocessing)}))
    pixels = read_image(path, preprocessing.channels, preprocessing.decoding)
    expected = by_hand(path, facts, numbers_of(facts["steps"]))
    np.testing.assert_allclose(preprocessing.apply(pixels), expected, atol=1e-5, err_msg=f"{path.name} {preprocessing}")


@pytest.mark.parametrize(
    ("size", "ratio"), [(224, 0.875), (64, 0.875), (32, 1.0), (35, 0.9), (227, 0.95), (299, 0.875)]
)
def test_odd_sizes(tmp_path: Path, size: int, ratio: float) -> None:
    rng = np.random.default_rng(size)
    for number, (height, width) in enumerate([(37, 41), (333, 500), (501, 257), (64, 64), (900, 121), (1, 50)]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        check(path, Preprocessing(size, ratio))
        check(path, Preprocessing(size, ratio, (0.4,), (0.2,)))


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(),
        Decoding(bit_depth=14),
        Decoding(window=(100.0, 3000.0)),
        Decoding(alpha="black"),
        Decoding(alpha="drop"),
    ],
    ids=str,
)
def test_deep_and_transparent_files(tmp_path: Path, decoding: Decoding) -> None:
    rng = np.random.default_rng(0)
    for most in (200, 3000, 60000):
        path = tmp_path / f"{most}.png"
        cv2.imwrite(str(path), rng.integers(0, most, (90, 70, 3), dtype=np.uint16))
        check(path, Preprocessing(32, 0.875, decoding=decoding))
    path = tmp_path / "alpha.png"
    Image.fromarray(rng.integers(0, 256, (90, 70, 4), dtype=np.uint8)).save(path)
    check(path, Preprocessing(32, 0.875, decoding=decoding))


@pytest.mark.parametrize("size", [64, 224])
def test_photographs(assets: Path, size: int) -> None:
    files = sorted((assets / "datasets/ants_bees/val").glob("*/*.jpg"))
    for path in files[:: len(files) // 10]:
        check(path, Preprocessing(size))


def test_the_file_says_it_and_an_older_one_means_what_it_meant(tmp_path: Path, export: Any) -> None:
    decoding = Decoding(window=(0.0, 4000.0), alpha="black")
    folder = export(tmp_path / "model", preprocessing=Preprocessing(32, 1.0, decoding=decoding).to_dict())
    file = folder / "inference.yml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert values["format"] == 1
    said = values["preprocessing"]["steps"]
    names = "decode", "depth", "alpha", "colour", "crop", "halve", "resize", "centre", "normalise", "layout"
    assert [step.split(":")[0] for step in said] == list(names)
    assert "low = 0, high = 4000" in said[1]
    assert "blended with black" in said[2]
    predictor = Predictor(folder)
    assert predictor.preprocessing.decoding == decoding

    rng = np.random.default_rng(0)
    deep = rng.integers(0, 4000, (40, 40, 3), dtype=np.uint16)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), deep[:, :, ::-1])
    eight = np.rint(deep * (255 / 4000)).astype(np.uint8)
    assert predictor.predict(path)[0].confidence == predictor.predict(eight)[0].confidence

    for key in ("bit_depth", "window", "alpha", "steps"):
        del values["preprocessing"][key]
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    older = Predictor(folder)
    assert older.preprocessing.decoding == Decoding(bit_depth=16, alpha="drop")
    assert older.predict(path)[0].confidence == older.predict((deep >> 8).astype(np.uint8))[0].confidence
    stream = io.BytesIO()
    rgba = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(stream, "PNG")
    path.write_bytes(stream.getvalue())
    assert older.predict(path)[0].confidence == older.predict(np.ascontiguousarray(rgba[:, :, :3]))[0].confidence
