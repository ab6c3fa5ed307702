"""Throughput from JPEG files to normalised batches, on one core.

    python benchmarks/input_pipeline.py [--images FOLDER] [--count 96] [--rounds 7]

Every round runs all rows one after the other (A B A B ...), so other load on the machine affects all equally. Times are
CPU time of the process, medians over the rounds; a ratio is the median of the ratios of each round. Each step is also
timed separately. Images are photographs (FOLDER, or two of scikit-learn's), recompressed as JPEGs of 500 x 375 and
2048 x 1536 pixels, quality 90. Threads and allocator are set as in every tool, by importing the toolkit, except that
one thread is used instead of one per core.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import new_table, show
from toolkit.core.runtime import cpu_settings
from toolkit.data import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    BatchLoader,
    FileImages,
    ImageCache,
    Preprocessing,
    decode_image,
    is_image_file,
)

SIZE, BATCH, QUALITY = 224, 32, 90
SMALL, LARGE = (500, 375), (2048, 1536)
LARGE_SHARE = 12  # there are fewer large images by this factor
PLAIN = "plain: imread, resize, numpy"
_MEAN, _STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)


def main() -> None:
    """Create the images, run the rounds, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=96, help="images of 500 x 375")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        photos = list(islice(cycle(_photographs(arguments.images, arguments.count)), arguments.count))
        small = _write(photos, SMALL, Path(folder) / "small")
        large = _write(photos[::LARGE_SHARE], LARGE, Path(folder) / "large")
        _print_setup(small, large)
        for title, files in (("500 x 375", small), ("2048 x 1536", large)):
            _report(f"JPEGs of {title}, one core", _rounds(_loaders(files), arguments.rounds), len(files))
        _report("the steps, 500 x 375", _rounds(_steps(small), arguments.rounds), len(small), PLAIN)


def _photographs(folder: Path | None, count: int) -> list[NDArray[np.uint8]]:
    """BGR images."""
    if folder is None:
        from sklearn.datasets import load_sample_images

        return [np.ascontiguousarray(image[:, :, ::-1]) for image in load_sample_images().images]
    files = sorted(path for path in folder.rglob("*") if is_image_file(path))
    if not files:
        raise SystemExit(f"{folder}: no images")
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    return [np.ascontiguousarray(decode_image(path.read_bytes())[:, :, ::-1]) for path in chosen]


def _write(photos: Sequence[NDArray[np.uint8]], size: tuple[int, int], folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{number:04d}.jpg" for number in range(len(photos))]
    for file, photo in zip(files, photos, strict=True):
        enlarged = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
        file.write_bytes(cv2.imencode(".jpg", enlarged, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    return files


def _print_setup(*sets: Sequence[Path]) -> None:
    sizes = ", ".join(
        f"{len(files)} of {np.mean([file.stat().st_size for file in files]) / 1000:.0f} KB" for files in sets
    )
    simplejpeg = version("simplejpeg") if find_spec("simplejpeg") else "(not installed)"
    print(f"\n{platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"OpenCV {cv2.__version__}, simplejpeg {simplejpeg}; {cpu_settings()}")
    print(f"images: {sizes}", flush=True)


def _loaders(files: Sequence[Path]) -> dict[str, Callable[[], None]]:
    images, preprocessing = FileImages(files, np.zeros(len(files))), Preprocessing(SIZE)
    cache = ImageCache(8 * 10**9)

    def loader(level: str | None, fast: bool = True, kept: ImageCache | None = None) -> Callable[[], None]:
        augmentation = None if level is None else Augmentation(level, SIZE)
        batches = BatchLoader(
            images, preprocessing, batch_size=BATCH, augmentation=augmentation, shuffle=level is not None, workers=0,
            fast_decoding=fast, cache=kept,
        )  # fmt: skip

        def epoch() -> None:
            batches.set_epoch(batches.epoch + 1)
            for _ in batches:
                pass

        return epoch

    return {
        PLAIN: lambda: _plain(files),
        "evaluation": loader(None),
        "evaluation, cached": loader(None, kept=cache),
        "training, standard": loader("standard"),
        "training, standard, decoded in full": loader("standard", fast=False),
        "training, standard, cached": loader("standard", kept=cache),
        "training, strong": loader("strong"),
    }


def _plain(files: Sequence[Path]) -> None:
    """A typical implementation: read, resize to 256, crop 224, normalise in floating point."""
    margin = (256 - SIZE) // 2
    batch = np.empty((len(files[:BATCH]), 3, SIZE, SIZE), np.float32)
    for number, file in enumerate(files):
        read = cv2.imread(str(file))
        assert read is not None
        pixels = cv2.resize(read, (256, 256))[margin : margin + SIZE, margin : margin + SIZE, ::-1]
        batch[number % BATCH] = ((pixels / 255 - _MEAN) / _STD).astype(np.float32).transpose(2, 0, 1)


def _steps(files: Sequence[Path]) -> dict[str, Callable[[], None]]:
    preprocessing, standard, strong = Preprocessing(SIZE), Augmentation("standard", SIZE), Augmentation("strong", SIZE)
    data = [file.read_bytes() for file in files]
    pixels = [decode_image(one) for one in data[:BATCH]]
    views = [preprocessing.geometry(picture) for picture in pixels]
    out = np.empty((3, SIZE, SIZE), np.float32)
    rng = np.random.default_rng(0)
    several = range(len(files))
    return {
        PLAIN: lambda: _plain(files),
        "read the file": lambda: [None for file in files if not file.read_bytes()].clear(),
        "decode": lambda: [None for one in data if not decode_image(one).size].clear(),
        "resize and crop, evaluation": lambda: [preprocessing.geometry(pixels[i % BATCH]) for i in several].clear(),
        "crop, resize, change: standard": lambda: [standard(pixels[i % BATCH], rng) for i in several].clear(),
        "crop, resize, change: strong": lambda: [strong(pixels[i % BATCH], rng) for i in several].clear(),
        "normalise": lambda: [None for i in several if preprocessing.normalise(views[i % BATCH], out) is None].clear(),
    }


def _rounds(rows: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each row in each round; the first round warms caches and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name, work in rows.items():
            start = time.process_time()
            work()
            if number:
                times[name].append(time.process_time() - start)
    return times


def _report(title: str, times: dict[str, list[float]], count: int, base: str = PLAIN) -> None:
    numbers = ("us/image", "images/s", "best", "ratio", "spread")
    table = new_table(title, "what", *numbers, numeric=numbers)
    for name, seconds in times.items():
        ratios = np.array(times[base]) / np.array(seconds)
        middle, best = float(np.median(seconds)) / count, min(seconds) / count
        table.add_row(
            name, f"{middle * 1e6:.0f}", f"{1 / middle:.0f}", f"{1 / best:.0f}", f"{np.median(ratios):.2f}",
            f"{ratios.min():.2f} to {ratios.max():.2f}",
        )  # fmt: skip
    show(table)


if __name__ == "__main__":
    main()
