"""What the peers share: arguments, clock, and the line of JSON at the end. No framework is imported here."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, RESIZED = 224, 256
AREA, LIGHT = (0.35, 1.0), 0.2
"""Augmentation: share of the image's area that a crop keeps; largest change of brightness, contrast, saturation."""
Arrays = Mapping[str, Any]


def run(check: Callable[[str, Arrays, Any], Any], train: Callable[[argparse.Namespace, Arrays], float]) -> None:
    """Parse the arguments, work, and print one line of JSON.

    Args:
        check: Maps a network's name, its weights and an image ``[1, 3, 224, 224]`` to the logits.
        train: Trains, and returns the validation accuracy after the last epoch.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--weights", type=Path, required=True, help="arrays under Paddle's names")
    parser.add_argument("--check", action="store_true", help="only compare the logits of one image with Paddle's")
    parser.add_argument("--images", type=Path, help="folder with train/<class> and val/<class>")
    parser.add_argument("--freeze", choices=["all", "none"], help="all: train a head; none: train everything")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes or threads that decode, if any")
    args = parser.parse_args()
    with np.load(args.weights) as file:
        arrays = dict(file)
    image, logits = arrays.pop("check/image"), arrays.pop("check/logits")
    if args.check:
        difference = np.abs(np.asarray(check(args.network, arrays, image)) - logits).max()
        print(json.dumps({"difference": float(difference)}))
        return
    wall, cpu = time.perf_counter(), _cpu()
    accuracy = train(args, arrays)
    section = {"seconds": time.perf_counter() - wall, "cpu_seconds": _cpu() - cpu}
    print(json.dumps({"accuracy": accuracy, **section}), flush=True)


def _cpu() -> float:
    """CPU-seconds of this process and its finished children."""
    return sum(use.ru_utime + use.ru_stime for use in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))
