"""Which pictures a command line means."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from toolkit.core.errors import DataError
from toolkit.deploy import expand_images
from toolkit.deploy.inputs import read_ahead


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    names = ["b.JPG", "a.png", "鸟/鸟 1.jpeg", "鸟/notes.txt", "x[1].png", ".hidden.png", ".cache/z.png", "list.csv"]
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return tmp_path / "photos"


def names(paths: list[Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_a_folder_means_all_images_in_it_and_below(photos: Path) -> None:
    assert names(expand_images([photos]), photos) == ["a.png", "b.JPG", "x[1].png", "鸟/鸟 1.jpeg"]


def test_patterns(photos: Path) -> None:
    assert names(expand_images([f"{photos}/*.png"]), photos) == ["a.png", "x[1].png"]
    assert names(expand_images([f"{photos}/**/*.jpeg"]), photos) == ["鸟/鸟 1.jpeg"]
    assert names(expand_images([f"{photos}/*"]), photos) == ["a.png", "b.JPG", "x[1].png", "鸟/鸟 1.jpeg"]


def test_a_file_is_taken_as_it_is(photos: Path) -> None:
    assert names(expand_images([f"{photos}/x[1].png", f"{photos}/list.csv"]), photos) == ["x[1].png", "list.csv"]


def test_relative_paths_and_the_home_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert expand_images(["a.png", "*.JPG"]) == [Path("a.png"), Path("b.JPG")]
    monkeypatch.setenv("HOME", str(photos))
    assert expand_images(["~/a.png"]) == [photos / "a.png"]


def test_the_order_of_the_arguments_and_each_file_once(photos: Path) -> None:
    found = expand_images([photos / "b.JPG", photos, photos / "a.png"])
    assert names(found, photos) == ["b.JPG", "a.png", "x[1].png", "鸟/鸟 1.jpeg"]


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("nowhere.png", "does not exist"),
        ("nothing*.png", "no image matches"),
        ("*.csv", "no image matches"),
        ("empty", "contains no images"),
    ],
)
def test_nothing_found(photos: Path, arg: str, message: str) -> None:
    (photos / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        expand_images([photos / "a.png", photos / arg])


def test_no_arguments() -> None:
    with pytest.raises(DataError, match="no images given"):
        expand_images([])


def test_a_folder_that_links_to_itself_ends(photos: Path) -> None:
    (photos / "loop").symlink_to(photos)
    assert len(expand_images([photos])) == 4


def test_what_is_left_out_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "IMG_1.HEIC").write_bytes(b"-")
    (photos / "IMG_2").write_bytes(b"\xff\xd8\xff-")
    (photos / "@eaDir").mkdir()
    (photos / "@eaDir" / "a.png").write_bytes(b"-")
    (photos.parent / "far").mkdir()
    (photos.parent / "far" / "far.png").write_bytes(b"-")
    (photos / "linked").symlink_to(photos.parent / "far")
    assert names(expand_images([photos]), photos) == ["IMG_2", "a.png", "b.JPG", "x[1].png", "鸟/鸟 1.jpeg"]
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 5
    assert "warning: 1 file of" in said
    assert "(.heic is not supported: convert to JPEG or PNG): IMG_1.HEIC" in said
    assert ": linked" in said
    assert "(not images by extension or first bytes): list.csv, 鸟/notes.txt" in said
    assert "3 files of" in said
    expand_images([f"{photos}/IMG*"])
    assert "IMG_1.HEIC" in capsys.readouterr().err


def test_patterns_end_in_spite_of_loops_of_links(photos: Path) -> None:
    for link, target in (("loop", photos), ("鸟/up", photos), ("鸟/here", photos / "鸟")):
        (photos / link).symlink_to(target)
    assert names(expand_images([f"{photos}/**/*.jpeg"]), photos) == ["鸟/鸟 1.jpeg"]
    assert names(expand_images([f"{photos}/**"]), photos) == ["a.png", "b.JPG", "x[1].png", "鸟/鸟 1.jpeg"]


def test_reading_ahead_keeps_the_order_and_its_bound() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        time.sleep(0.002 * (item % 3))
        return item * item

    results = read_ahead(range(20), work, workers=3, ahead=5)
    assert next(results) == 0
    assert len(started) <= 6
    assert list(results) == [item * item for item in range(1, 20)]


def test_an_error_comes_in_its_turn_and_ends_the_threads() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise DataError("item 3")
        return item

    results = read_ahead(range(100), work, workers=2, ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="item 3"):
        next(results)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images_")]


def test_leaving_early_ends_the_threads() -> None:
    results = read_ahead(range(1000), lambda item: item, workers=2, ahead=4)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images_")]
