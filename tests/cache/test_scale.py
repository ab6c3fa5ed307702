"""100,000 rows: memory that does not grow, and the speed of gathering."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from toolkit.cache import FeatureStore

pytestmark = pytest.mark.slow

FILL_AND_READ = """
import resource, sys
from pathlib import Path
import numpy as np
from toolkit.cache import FeatureStore

rows = int(sys.argv[2])
store = FeatureStore(Path(sys.argv[1]))
entry = store.entry({"rows": rows})
random = np.random.default_rng(0)
with entry.writing(rows, (1280,), "float16") as writer:
    for start in range(0, rows, 500):
        writer.append(random.standard_normal((500, 1280), dtype=np.float32))
assert FeatureStore(Path(sys.argv[1])).verify() == []
features = entry.open()
for _ in range(2):
    order = random.permutation(rows)
    for start in range(0, rows, 32):
        features[order[start : start + 32]]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured on Linux")
def test_memory_is_constant_in_the_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (10_000, 100_000):
        command = [sys.executable, "-c", FILL_AND_READ, str(tmp_path / str(rows)), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    ratio = peaks[1] / peaks[0]
    print(
        f"peak memory: {peaks[0]:.0f} MB with 10,000 rows (26 MB), {peaks[1]:.0f} MB with 100,000 (256 MB): {ratio:.2f}"
    )
    assert ratio < 1.3  # with 256 MB held it would be 3


def test_gathering_keeps_up_with_a_plain_memory_map(tmp_path: Path) -> None:
    rows = 100_000
    random = np.random.default_rng(0)
    plain = np.lib.format.open_memmap(tmp_path / "plain.npy", "w+", np.float16, (rows, 1280))
    entry = FeatureStore(tmp_path).entry({})
    with entry.writing(rows, (1280,), "float16") as writer:
        for start in range(0, rows, 500):
            block = random.standard_normal((500, 1280), dtype=np.float32)
            plain[start : start + 500] = block
            writer.append(block)
    plain = np.load(tmp_path / "plain.npy", mmap_mode="r")
    features = entry.open()
    batches = [random.permutation(rows)[:32] for _ in range(1000)]
    ratios = []
    for _ in range(7):
        seconds = []
        for source in (plain, features):
            start = time.process_time()
            for batch in batches:
                source[batch]
            seconds.append(time.process_time() - start)
        ratios.append(seconds[1] / seconds[0])
    print(f"32 rows of 1280: {seconds[0] * 1000:.0f} us plain, {seconds[1] * 1000:.0f} us ours, ratios {ratios}")
    assert np.median(ratios) < 10
    assert np.array_equal(features[batches[0]], plain[batches[0]])
