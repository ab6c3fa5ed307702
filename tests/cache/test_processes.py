"""Several processes at one cache, and processes that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.cache.conftest import Fill, rows_of
from toolkit.cache import FeatureStore

pytestmark = pytest.mark.multiprocess

FILL = """
import sys, time
from pathlib import Path
from tests.cache.conftest import SHAPE, SHARD_BYTES, rows_of
from toolkit.cache import FeatureStore

entry = FeatureStore(Path(sys.argv[1]), shard_bytes=SHARD_BYTES).entry({"network": "a"})
pause, stop = float(sys.argv[2]), int(sys.argv[3])
computed = 0
with entry.writing(95, SHAPE, "float16") as writer:
    for span in writer.missing:
        for row in span:
            writer.append(rows_of(range(row, row + 1)))
            computed += 1
            if row % 10 == 4:
                print(row, flush=True)
                sys.stdin.readline() if row == stop else time.sleep(pause)
    features = entry.open()
print("computed", computed, len(features), flush=True)
"""
READ = """
import sys, time
from pathlib import Path
from toolkit.cache import FeatureStore
features = FeatureStore(Path(sys.argv[1])).entry({"network": "a"}).open()
print("open", flush=True)
sys.stdin.readline()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert any(found == f"{line}\n" for found in process.stdout), process.communicate()[1]


def test_a_kill_in_the_middle_loses_only_the_shard_in_the_making(store: FeatureStore, fill: Fill) -> None:
    entry = store.entry({"network": "a"})
    for killed_at, whole in ((34, 30), (34, 30), (74, 70)):
        with start(FILL, store.folder, 0, killed_at) as process:
            wait_for(process, str(killed_at))
            process.kill()
        assert entry.missing(95) == [range(whole, 95)]
        assert len(list(entry.folder.glob(".shard-*.tmp"))) == 1
    with start(FILL, store.folder, 0, -1) as process:
        said, errors = process.communicate()
    assert "computed 25 95" in said, errors
    assert not list(entry.folder.glob(".*.tmp"))
    np.testing.assert_array_equal(entry.open()[np.arange(95)], rows_of(range(95)))
    assert store.verify() == []


def test_kills_at_any_time_leave_nothing_wrong(store: FeatureStore) -> None:
    random = np.random.default_rng(0)
    for _ in range(4):
        with start(FILL, store.folder, 0.02, -1) as process:
            wait_for_any(process)
            time.sleep(float(random.uniform(0, 0.1)))
            process.kill()
        assert all("damaged" not in problem.what for problem in store.verify())
    with start(FILL, store.folder, 0, -1) as process:
        assert process.wait() == 0
    entry = store.entry({"network": "a"})
    np.testing.assert_array_equal(entry.open()[np.arange(95)], rows_of(range(95)))


def wait_for_any(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.readline()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_two_processes_that_fill_one_entry_both_end_right(store: FeatureStore) -> None:
    with start(FILL, store.folder, 0.02, -1) as first:
        wait_for(first, "4")
        first.send_signal(signal.SIGSTOP)
        with start(FILL, store.folder, 0, -1) as second:
            assert second.stderr is not None
            assert "waiting for another process to fill it" in second.stderr.readline()
            first.send_signal(signal.SIGCONT)
            said = [process.communicate() for process in (first, second)]
    assert "computed 95 95" in said[0][0]
    assert said[1][0] == "computed 0 95\n"
    assert not said[0][1]
    assert not said[1][1]


def test_who_waits_can_be_asked_to_stop(store: FeatureStore) -> None:
    entry, asked = store.entry({"network": "a"}), []

    def stop() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with (
        entry.writing(95, (3, 5), "float16"),
        pytest.raises(KeyboardInterrupt),
        entry.writing(95, (3, 5), "float16", stop),
    ):
        pass
    with entry.writing(95, (3, 5), "float16", stop) as writer:
        assert len(writer.missing) == 1
    assert len(asked) == 3


def test_who_waits_goes_on_where_a_killed_one_was(store: FeatureStore) -> None:
    with start(FILL, store.folder, 0, 4) as first:
        wait_for(first, "4")
        with start(FILL, store.folder, 0, -1) as second:
            assert second.stderr is not None
            assert "waiting for another process" in second.stderr.readline()
            first.kill()
            said, errors = second.communicate()
    assert "computed 95 95" in said, errors


def test_what_another_process_uses_is_not_removed(store: FeatureStore, fill: Fill) -> None:
    used, idle = fill(store, "a"), fill(store, "b")
    with start(READ, store.folder) as process:
        wait_for(process, "open")
        assert store.prune(everything=True) > 0
        assert [info.key for info in store.list()] == [used.key]
        assert not idle.folder.exists()
        process.kill()
    assert store.prune(everything=True) > 0
    assert store.list() == []


def test_what_another_process_fills_is_not_removed(store: FeatureStore) -> None:
    with start(FILL, store.folder, 0, 24) as process:
        wait_for(process, "24")
        assert store.prune(everything=True) == 0
        assert store.verify(fix=True) == []
        said, errors = process.communicate()
    assert "computed 95 95" in said, errors


def test_filling_and_pruning_at_once(store: FeatureStore) -> None:
    with start(FILL, store.folder, 0.01, -1) as one, start(FILL, store.folder, 0.01, -1) as two:
        while one.poll() is None or two.poll() is None:
            store.prune(everything=True)
            time.sleep(0.002)
        said = [process.communicate() for process in (one, two)]
    for words, errors in said:
        assert "Traceback" not in errors, errors
        assert words.endswith(" 95\n")
