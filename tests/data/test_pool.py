"""The threads that read images: order, errors, and file systems that do not respond."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import BatchLoader, FileImages, Preprocessing, build_data
from toolkit.data import images as images_module
from toolkit.data.pool import ReaderPool, read_all


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closing pool hardly waits for images in progress."""
    monkeypatch.setattr("toolkit.data.pool._PATIENCE", 0.1)


@pytest.fixture
def release(impatient: None) -> Iterator[threading.Event]:
    """What hanging readers wait for; set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_results_come_in_order_whatever_the_threads_do() -> None:
    def slow_at_first(path: str) -> int:
        time.sleep(0.02 if int(path) < 3 else 0)
        return int(path) ** 2

    files = [str(i) for i in range(500)]
    for workers in (1, 3):
        assert list(read_all(slow_at_first, files, workers, 10)) == [(path, int(path) ** 2) for path in files]
    assert list(read_all(slow_at_first, [], 3, 10)) == []


def test_an_error_of_a_task_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(read_all(lambda path: 1 // int(path), ["1", "0", "2"], 2, 10))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_hanging_reader_raises_an_error_that_names_the_image(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, release: threading.Event, workers: int
) -> None:
    paths = sorted(make_folder({"a": 24}).rglob("*.jpg"))
    read = images_module.read_image

    def hanging(path: str, *how: Any) -> Any:
        if path.endswith("013.jpg"):
            release.wait()
        return read(path, *how)

    monkeypatch.setattr(images_module, "read_image", hanging)
    loader = BatchLoader(FileImages(paths, np.zeros(24)), Preprocessing(16), batch_size=4, workers=workers, timeout=1)
    seen = 0
    with pytest.raises(DataError, match=r"no image could be read for 1 s; in progress: \S*013\.jpg — .*data\.timeout"):
        for batch in loader:
            seen += len(batch)
    assert seen == 12, "the batches before it"


def test_slow_is_not_dead(make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may take longer than the limit, as long as single images arrive."""
    paths = sorted(make_folder({"a": 15}).rglob("*.jpg"))
    read = images_module.read_image
    monkeypatch.setattr(images_module, "read_image", lambda *args: (time.sleep(0.1), read(*args))[1])
    loader = BatchLoader(FileImages(paths, np.zeros(15)), Preprocessing(16), batch_size=15, workers=1, timeout=1)
    assert [len(batch) for batch in loader] == [15]


def test_time_in_which_nobody_waits_does_not_count(release: threading.Event) -> None:
    with ReaderPool(1, 0.5) as pool:
        future = pool.submit(lambda: (pool.begin("x"), release.wait(), None)[2])
        time.sleep(0.75)  # the network is at work
        release.set()
        pool.finish(future)


def test_the_end_of_a_pool_drops_what_has_not_begun() -> None:
    done: list[int] = []
    with ReaderPool(1, 10) as pool:
        futures = [pool.submit(lambda i=i: (time.sleep(0.05), done.append(i))[1]) for i in range(500)]  # type: ignore[misc]
        pool.finish(futures[0])
    assert len(done) < 250
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


def test_the_end_of_a_pool_ends_the_wait_of_others(monkeypatch: pytest.MonkeyPatch, release: threading.Event) -> None:
    monkeypatch.setattr("toolkit.data.pool._TICK", 0.05)
    with ReaderPool(1, 300) as pool:
        futures = [pool.submit(lambda: (release.wait(), None)[1]) for _ in range(2)]
    for future in [*futures, pool.submit(lambda: None)]:
        with pytest.raises(DataError, match="no longer needed"):
            pool.finish(future)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_check_of_a_data_set_does_not_hang(make_folder: Callable[..., Path], impatient: None) -> None:
    root = make_folder({"a": 4, "b": 4})
    pipe = root / "a" / "pipe.jpg"
    os.mkfifo(pipe)  # opening it blocks until there is a writer
    try:
        with pytest.raises(DataError, match=r"no image could be read for 1 s; in progress: .*pipe\.jpg"):
            build_data(DataConfig(root=root, timeout=1))
    finally:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_process_with_a_hanging_thread_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    code = (
        "from toolkit.data import BatchLoader, FileImages, Preprocessing\n"
        "list(BatchLoader(FileImages(['pipe.jpg'], [0]), Preprocessing(16), batch_size=1, workers=2, timeout=0.5))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "in progress: pipe.jpg" in ended.stderr
