"""The workloads, apart from who runs them: rows of numbers, from which ours and all peers get the same arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

__all__ = ["FRESH", "ExtractWork", "Places", "RowsWork", "TrainWork", "Work"]

FRESH = "{fresh}"
"""In a command: replaced by an empty folder for each run."""


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        repo: This clone.
        work: Folder of environments, images, weights and caches.
    """

    repo: Path
    work: Path

    def images(self, name: str) -> Path:
        """Folder of an image set, with ``train/<class>`` and ``val/<class>``."""
        return self.work / "images" / name

    def weights(self, network: str, kind: str) -> Path:
        """Weights of a network: ``pdparams`` for Paddle, ``npz`` for all others."""
        return self.work / "weights" / f"{network}.{kind}"


class Work(Protocol):
    """A workload."""

    def small(self) -> Work:
        """The same with tiny sizes, to check that it runs."""

    def for_ours(self, places: Places) -> list[str]:
        """Arguments of the toolkit's program."""

    def for_peers(self, places: Places) -> list[str]:
        """Arguments of a peer's program."""


@dataclass(frozen=True)
class TrainWork:
    """Train a classifier, and evaluate it after every epoch.

    Attributes:
        network: ``mobilenet_v2`` (ImageNet weights) or ``resnet18`` (random weights).
        images: Image set, a row of ``material.IMAGE_SETS``.
        freeze: ``all`` (a head is trained), ``none`` (everything is) or a number of stages from the bottom.
        epochs: Passes over the training images.
        batch: Images per step.
        lr: Learning rate of SGD with momentum 0.9, constant.
        augment: Random crop (35 to 100 % of the area), mirroring, brightness, contrast and saturation.
    """

    network: str
    images: str
    freeze: str
    epochs: int
    batch: int = 32
    lr: float = 0.01
    augment: bool = False

    def small(self) -> TrainWork:
        """24 + 12 images, at most two epochs."""
        return replace(self, images="smoke", epochs=min(2, self.epochs), batch=8)

    def for_ours(self, places: Places) -> list[str]:
        """Arguments of ``tools/train.py``."""
        values = {
            "model.name": self.network,
            "model.pretrained": places.weights(self.network, "pdparams"),
            "data.root": places.images(self.images),
            "data.batch_size": self.batch,
            "data.augment": "standard" if self.augment else "none",
            "transfer.freeze": self.freeze,
            "train.epochs": self.epochs,
            "train.lr": self.lr,
            "output_dir": f"{FRESH}/runs",
            "cache.dir": f"{FRESH}/cache",
        }
        config = str(places.repo / "benchmarks" / "ours" / "base.yaml")
        return ["-c", config, "--json", *(word for item in values.items() for word in ("-o", "=".join(map(str, item))))]

    def for_peers(self, places: Places) -> list[str]:
        """Arguments that all peers take."""
        values = {
            "--network": self.network,
            "--weights": places.weights(self.network, "npz"),
            "--images": places.images(self.images),
            "--freeze": self.freeze,
            "--epochs": self.epochs,
            "--batch": self.batch,
            "--lr": self.lr,
        }
        return [*(str(word) for item in values.items() for word in item), *(["--augment"] if self.augment else [])]


@dataclass(frozen=True)
class ExtractWork:
    """Compute pooled features of images that are already decoded and normalised.

    Attributes:
        network: A network.
        engine: ``paddle``, ``onnx``, or ``dygraph``, Paddle's ordinary mode.
        batch: ``dygraph``: images per call; the engines use the toolkit's batch size.
        count: Images.
    """

    network: str
    engine: str
    batch: int = 0
    count: int = 512

    def small(self) -> ExtractWork:
        """32 images."""
        return replace(self, count=32)

    def for_ours(self, places: Places) -> list[str]:
        """Arguments of ``ours/extract.py``."""
        weights, images = places.weights(self.network, "pdparams"), places.images("smoke")
        numbers = ["--batch", str(self.batch), "--count", str(self.count)]
        return [self.network, self.engine, *numbers, "--weights", str(weights), "--images", str(images)]

    def for_peers(self, places: Places) -> list[str]:
        """No peer does this."""
        raise NotImplementedError


@dataclass(frozen=True)
class RowsWork:
    """Fill a feature cache with synthetic features, and train a head on them for one epoch.

    Attributes:
        rows: Number of images that they stand for.
    """

    rows: int

    def small(self) -> RowsWork:
        """A hundredth of the rows."""
        return replace(self, rows=self.rows // 100)

    def for_ours(self, places: Places) -> list[str]:
        """Arguments of ``ours/rows.py``."""
        return [str(self.rows), "--dir", FRESH]

    def for_peers(self, places: Places) -> list[str]:
        """No peer does this."""
        raise NotImplementedError
