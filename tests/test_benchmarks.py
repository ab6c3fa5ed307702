"""The benchmarks: commands, measurement and tables; no peer is needed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks import environments, material, run
from benchmarks.cases import CASES, OURS, PEERS
from benchmarks.environments import make_environment, program_of
from benchmarks.material import link_images
from benchmarks.measure import Failed, clean_environment, measure
from benchmarks.report import collect, markdown, read_results, write_results
from benchmarks.works import Places, TrainWork
from toolkit.config import load_config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are measured on Linux")


@pytest.fixture
def places(repo: Path, tmp_path: Path) -> Places:
    return Places(repo, tmp_path / "work")


def python(code: str, tmp_path: Path, timeout: float = 60) -> Any:
    return measure([sys.executable, "-c", code], dict(os.environ), tmp_path, timeout, tmp_path / "stderr.txt")


def test_every_program_is_there_and_parses(repo: Path) -> None:
    for file in sorted((repo / "benchmarks").rglob("*.py")):
        ast.parse(file.read_text(encoding="utf-8"), str(file))
    for case in CASES:
        assert [row for row in case.contenders if row.subject], case.name
        assert len({row.label for row in case.contenders}) == len(case.contenders)
        assert all(program_of(row.program, repo).is_file() for row in case.contenders)
    assert all((repo / "benchmarks" / "peers" / f"{name}.txt").is_file() for name in PEERS)


def test_our_arguments_are_a_valid_config(places: Places) -> None:
    for case in CASES:
        for row in case.contenders:
            if row.environment == OURS and isinstance(row.work, TrainWork):
                words = [word.format(fresh="/f", work="/w") for word in (*row.work.for_ours(places), *row.extra)]
                overrides = [word for before, word in pairwise(words) if before == "-o"]
                config = load_config(Path(words[1]), overrides)
                assert (config.train.epochs, config.data.batch_size) == (row.work.epochs, row.work.batch)


def test_ours_and_peers_get_the_same_numbers(places: Places) -> None:
    work = TrainWork("mobilenet_v2", "smoke", freeze="all", epochs=7, batch=5, lr=0.25, augment=True)
    ours, peers = work.for_ours(places), work.for_peers(places)
    assert {"train.epochs=7", "data.batch_size=5", "train.lr=0.25", "data.augment=standard"} <= set(ours)
    options = dict(zip(peers[:-1:2], peers[1::2], strict=False))
    assert (options["--epochs"], options["--batch"], options["--lr"]) == ("7", "5", "0.25")
    assert peers[-1] == "--augment"


def test_dry_run_shows_all_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run.main(["--dry-run", "--smoke", "--work", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(case.name in shown for case in CASES)
    assert not list(tmp_path.iterdir())


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--only", "nonsense"])
    assert "linear_probe" in capsys.readouterr().err


def test_processes_count_that_outlive_their_parent(tmp_path: Path) -> None:
    code = """
import os, time

def burn():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass

child = os.fork()
if child == 0:
    os.fork()
    burn()
    os._exit(0)
os.waitpid(child, 0)
time.sleep(1)
print('{"accuracy": 1}')
"""
    found = python(code, tmp_path)
    assert found.cpu > 0.6
    assert found.wall > 1
    assert found.result == {"accuracy": 1}


def test_peak_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    child = "import sys; held = bytes(b'x') * 80_000_000; print(flush=True); sys.stdin.read()"
    code = f"""
import subprocess, sys, time
pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}}
children = [subprocess.Popen([sys.executable, "-c", {child!r}], **pipes) for _ in range(2)]
[one.stdout.readline() for one in children]  # both hold theirs
time.sleep(2.5)
print([one.communicate() for one in children] and "{{}}")
"""
    assert python(code, tmp_path).peak > 150


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('broken')", "exit code 1: ValueError: broken"),
        ("print('no json')", "line of JSON"),
        ("print(3)", "line of JSON"),
    ],
)
def test_a_failure_is_one_line(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=message):
        python(code, tmp_path)


def test_a_hanging_program_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended after 1 s"):
        python("import time; time.sleep(60)", tmp_path, timeout=1)


def test_programs_do_not_inherit_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    assert {"OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE"}.isdisjoint(clean_environment())
    assert clean_environment(["OMP_NUM_THREADS"])["OMP_NUM_THREADS"] == "7"
    assert clean_environment()["PATH"] == os.environ["PATH"]


def test_image_sets_are_drawn_alike_each_time(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(material.IMAGE_SETS, "few", (10, 5))
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(20):
                (tmp_path / split / label / f"{number}.jpg").touch()
    link_images(tmp_path, places, "few")
    first = {link: link.resolve() for link in places.images("few").glob("*/*/*")}
    (places.images("few") / "val" / "a" / "stray.jpg").touch()
    link_images(tmp_path, places, "few")
    assert {link: link.resolve() for link in places.images("few").glob("*/*/*")} == first
    assert len(first) == 15
    assert len(list(places.images("few").glob("val/a/*"))) >= 2


def test_too_few_images_are_said(places: Places, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"has 0 JPEGs, 24 are needed: give --images"):
        link_images(tmp_path, places, "smoke")


def test_a_peer_that_cannot_be_installed_is_missing(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str]) -> str:
        raise subprocess.CalledProcessError(1, command, stderr="Collecting\nERROR: No matching distribution\nhint")

    monkeypatch.setattr(environments, "_run", refuse)
    assert make_environment("torch", places, set()).missing == "ERROR: No matching distribution"


def test_a_peer_with_other_logits_is_missing(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_install", lambda *_: None)
    monkeypatch.setattr(environments, "_versions", lambda *_: {"torch": "9"})
    monkeypatch.setattr(environments, "_run", lambda _: 'said\n{"difference": 0.5}\n')
    assert "logits differ" in make_environment("torch", places, {"resnet18"}).missing


def row(label: str, walls: list[float], *, subject: bool = False, missing: str = "") -> dict[str, Any]:
    runs = [{"wall": wall, "cpu": 2 * wall, "peak": 100.0, "result": {"accuracy": 0.9}} for wall in walls]
    return {"label": label, "subject": subject, "missing": missing, **collect(runs, "process")}


def results(rows: list[dict[str, Any]]) -> dict[str, Any]:
    facts = {"cpu": "some", "cores": 2, "memory_gb": 4.0, "python": "3.11"}
    found = {"name": "linear_probe", "title": "T", "equal": "E", "different": "", "goal": "G", "smoke": False}
    return {"linear_probe": {**found, "when": "now", "load": 0.0, "machine": facts, "environments": {}, "rows": rows}}


def test_ratios_are_of_runs_of_the_same_round() -> None:
    page = markdown(results([row("ours", [1, 2, 4], subject=True), row("torch", [10, 40, 40])]))
    assert "| torch | ours | 10.00 (10.00-20.00) | 10.00 (10.00-20.00) | 1.00 |" in page
    assert "| ours | 2.00 (1.00-4.00) | 4.00 (2.00-8.00) | 100 | 0.900 | 3 |" in page


def test_a_row_that_ran_once_has_the_ratio_of_its_round() -> None:
    page = markdown(results([row("ours", [1, 2, 4], subject=True), row("slow", [30])]))
    assert "| slow | ours | 30.00 | 30.00 | 1.00 |" in page


def test_missing_results_are_shown_in_the_table() -> None:
    page = markdown(results([row("ours", [1], subject=True), row("torch", [], missing="no such package")]))
    assert "| torch | missing: no such package |" in page


def test_a_smoke_run_says_so() -> None:
    found = results([row("ours", [1], subject=True)])
    found["linear_probe"]["smoke"] = True
    assert "these numbers mean nothing" in markdown(found)


def test_a_section_is_what_the_program_says() -> None:
    run = {"wall": 9.0, "cpu": 9.0, "peak": 1.0, "result": {"seconds": 2.0, "cpu_seconds": 3.0, "last": {"top1": 0.5}}}
    assert collect([run], "section") == {"wall": [2.0], "cpu": [3.0], "peak": [1.0], "accuracy": [0.5], "images": None}
    assert collect([run], "process")["wall"] == [9.0]


def test_earlier_results_are_kept(tmp_path: Path) -> None:
    write_results(tmp_path / "results.md", results([row("ours", [1], subject=True)]))
    assert list(read_results(tmp_path / "results.json")) == ["linear_probe"]
    assert json.loads((tmp_path / "results.json").read_text())["linear_probe"]["rows"][0]["wall"] == [1]
    assert read_results(tmp_path / "none.json") == {}


@pytest.mark.slow
def test_the_memory_case_runs_from_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    assert run.main(["--smoke", "--only", "memory", "--repeats", "1", "--work", str(tmp_path), "--out", str(out)]) == 0
    assert "100,000 images" in out.read_text()
