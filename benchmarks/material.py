"""Images and weights of the benchmarks: subsets as folders of links, and one weights file for all libraries."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import clean_environment
from benchmarks.works import Places

__all__ = ["IMAGE_SETS", "link_images", "make_weights"]

IMAGE_SETS = {
    "photos_1000_300": (1000, 300),
    "photos_500_150": (500, 150),
    "photos_200_50": (200, 50),
    "smoke": (24, 12),
}
"""Name -> numbers of training and validation images."""
_SEED, _OF_EACH_CLASS = 0, 2


def link_images(source: Path, places: Places, name: str) -> None:
    """Draw an image set from a folder of photographs, with a fixed seed, as links.

    Args:
        source: Folder with ``train/<class>/*.jpg`` and ``val/<class>/*.jpg``.
        places: Where to write.
        name: A row of ``IMAGE_SETS``.

    Raises:
        SystemExit: There are too few images.
    """
    folder = places.images(name)
    wanted = {}
    for split, count in zip(("train", "val"), IMAGE_SETS[name], strict=True):
        files = sorted((source / split).glob("*/*.jpg"))
        if len(files) < count:
            sys.exit(f"{source / split} has {len(files)} JPEGs, {count} are needed: give --images another folder")
        wanted.update({folder / split / file.parent.name / file.name: file.resolve() for file in _drawn(files, count)})
    if {link: link.resolve() for link in folder.glob("*/*/*")} == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for link, file in wanted.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)


def _drawn(files: Sequence[Path], count: int) -> list[Path]:
    """A random subset of files with at least two of each class."""
    shuffled = random.Random(_SEED).sample(files, len(files))
    seen: Counter[str] = Counter()
    first: list[Path] = []
    others: list[Path] = []
    for file in shuffled:
        seen[file.parent.name] += 1
        (first if seen[file.parent.name] <= _OF_EACH_CLASS else others).append(file)
    return [*first, *others][:count]


def make_weights(network: str, pretrained: Path | None, places: Places) -> None:
    """Write a network's weights for Paddle and, with an image and its logits, for all other libraries.

    Args:
        network: Its name.
        pretrained: ImageNet weights; None for random ones.
        places: Where to write.

    Raises:
        SystemExit: Paddle failed.
    """
    target = places.weights(network, "npz")
    if target.is_file():
        return
    if pretrained is not None and not pretrained.is_file():
        sys.exit(f"{pretrained} is missing: name the folder of ImageNet weights with --weights")
    program = places.repo / "benchmarks" / "ours" / "weights.py"
    command = [sys.executable, str(program), network, str(target), "--images", str(places.images("smoke"))]
    if pretrained is not None:
        command += ["--pretrained", str(pretrained)]
    environment = {**clean_environment(), "PYTHONPATH": str(places.repo)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the weights of {network} could not be written:\n{done.stderr[-2000:]}")
