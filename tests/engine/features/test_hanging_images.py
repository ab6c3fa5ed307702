"""Images that hang while features are computed: an error that names them, in every engine, and a process that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.core.errors import DataError
from toolkit.data import BatchLoader, FileImages, Preprocessing
from toolkit.engine.features.extract import ImageRows, extract
from toolkit.engine.features.runners import StageSlice, traced
from toolkit.inference import onnx_is_installed
from toolkit.zoo import create_network

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes"),
]
ENGINES = [
    "dygraph",
    "paddle",
    pytest.param("onnx", marks=pytest.mark.skipif(not onnx_is_installed(), reason="no ONNX")),
]
HANGS = 70


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[Path]]:
    """Pictures, and a named pipe among them: opening it waits for a writer for ever."""
    paths = [tmp_path / f"{number:03d}.png" for number in range(320)]
    pixels = np.random.default_rng(0).integers(0, 256, (len(paths), 32, 32, 3), np.uint8)
    for path, picture in zip(paths, pixels, strict=True):
        cv2.imwrite(str(path), picture)
    paths[HANGS].unlink()
    os.mkfifo(paths[HANGS])
    yield paths
    os.close(os.open(paths[HANGS], os.O_RDWR | os.O_NONBLOCK))  # the reader goes on


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.features.extract.workers", lambda: 2)


def stage_slice() -> StageSlice:
    network = create_network("mobilenet_v1", 5, pretrained=False)
    network.eval()
    return StageSlice(network, 0, 2)


def rows_of(files: list[Path], **options: Any) -> ImageRows:
    return ImageRows(BatchLoader(FileImages(files, np.zeros(len(files))), Preprocessing(32), batch_size=8, **options))


def ends(files: list[Path], engine: Any) -> None:
    """Blocks before the image come, then the error."""
    blocks = 0
    message = r"no image could be read for 3 s; in progress: .*070\.png.* — .*data\.timeout"
    with traced(stage_slice(), (3, 32, 32), engine) as program, pytest.raises(DataError, match=message):
        for _ in extract(stage_slice(), program, rows_of(files, timeout=3.0), range(len(files))):
            blocks += 1
    assert blocks == HANGS // 32
    assert not [thread for thread in threading.enumerate() if not thread.daemon and "features" in thread.name]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("two_workers")
def test_an_image_that_hangs_ends_in_an_error_that_names_it(
    files: list[Path], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.data.pool._PATIENCE", 0.2)
    ends(files, engine)


@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.usefixtures("two_workers")
def test_an_image_that_hangs_in_another_process_ends_in_the_same_error(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.engine.features.extract._WORTH_PROCESSES", 0.0)
    ends(files, "paddle")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("two_workers")
def test_ctrl_c_does_not_wait_for_the_image(files: list[Path], engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.data.pool._PATIENCE", 0.2)
    with traced(stage_slice(), (3, 32, 32), engine) as program:
        blocks = extract(stage_slice(), program, rows_of(files, timeout=300.0), range(32, len(files)))
        assert len(next(blocks)) == 32
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(blocks)


@pytest.mark.parametrize("workers", [0, 3])
def test_in_dygraph_the_threads_of_the_loader_read(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    readers: set[str] = set()
    threads = max(1, workers)
    together = threading.Barrier(threads)
    fill = BatchLoader._fill

    def spy(self: BatchLoader, *arguments: Any) -> None:
        together.wait()
        readers.add(threading.current_thread().name)
        fill(self, *arguments)

    source = rows_of(files[:HANGS], workers=workers)
    expected = list(map(source, np.split(np.arange(64), 2)))
    monkeypatch.setattr(BatchLoader, "_fill", spy)
    seen: list[np.ndarray] = []
    network = stage_slice()
    monkeypatch.setattr(network, "forward", lambda x: (seen.append(x.numpy()), x)[1])
    assert [len(block) for block in extract(network, None, source, range(64))] == [32, 32]
    assert np.array_equal(np.concatenate(seen), np.concatenate(expected))
    assert readers == {f"images_{number}" for number in range(threads)}


FILL = """
import sys
from pathlib import Path
import numpy as np
import toolkit.cache.entry
from toolkit.config import CacheConfig
from toolkit.data import BatchLoader, FileImages, Preprocessing
from toolkit.engine.features.cache import FeatureCache, Request
from toolkit.zoo import create_network

toolkit.cache.entry._SHARD_ROWS = 32
paths = sorted(Path().glob("*.png"))
loader = BatchLoader(FileImages(paths, np.zeros(len(paths))), Preprocessing(32), batch_size=8, timeout=3)
config = CacheConfig(dir=Path("cache"), engine=sys.argv[1], dtype="float32")
FeatureCache(create_network("mobilenet_v1", 5, pretrained=False), config).fill([Request(loader, "images")], [2])
"""


@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.parametrize("engine", ENGINES)
def test_the_process_ends_and_the_rows_before_are_kept(files: list[Path], engine: str) -> None:
    folder = files[0].parent
    ended = subprocess.run(
        [sys.executable, "-c", FILL, engine], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "DataError: no image could be read for 3 s; in progress: 070.png" in ended.stderr
    assert len(list((folder / "cache").glob("*/shard-*.npy"))) == HANGS // 32
