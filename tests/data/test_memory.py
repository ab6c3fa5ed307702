"""Memory grows with the list of paths and labels only, not with the number of images read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="needs the peak of the memory in use")

CODE = """
import resource, sys
import numpy as np
from toolkit.data import Augmentation, BatchLoader, FileImages, Preprocessing
from toolkit.data.checks import drop_or_refuse_bad_files

count, batches = int(sys.argv[1]), int(sys.argv[2])
files = FileImages([f"{sys.argv[3]}/{'./' * (i % 20)}picture.jpg" for i in range(count)], np.arange(count) % 100)
images = drop_or_refuse_bad_files({"train": files}, skip=True)["train"].take(np.arange(count))
loader = BatchLoader(images, Preprocessing(16), batch_size=64, augmentation=Augmentation("standard", 16),
                     shuffle=True, workers=2)
for number, batch in enumerate(loader):
    if number == batches:
        break
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
"""


def peak(folder: Path, count: int, batches: int) -> float:
    """Peak resident memory, in MB, of a process that reads batches of images."""
    command = [sys.executable, "-c", CODE, str(count), str(batches), str(folder)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


@pytest.mark.slow
def test_a_hundred_thousand_images_take_the_memory_of_their_paths(
    picture: Callable[..., Any], save: Callable[..., Path], tmp_path: Path
) -> None:
    folder = save(tmp_path / ("long_" * 10) / "picture.jpg", picture(1, 24, 24)).parent
    few, many = peak(folder, 10_000, 400), peak(folder, 100_000, 400)
    assert many / few < 1.3, f"{few:.0f} MB, then {many:.0f} MB"
    assert many - few < 90_000 * 500 / 2**20, f"{few:.0f} MB, then {many:.0f} MB: more than 500 bytes an image"
