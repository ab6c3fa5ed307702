"""Quick real jobs: a few handwritten digits, and untrained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import paddle
from paddle import nn
from paddle.vision.models.resnet import BasicBlock, ResNet

from toolkit.config import Config, make_config
from toolkit.zoo import create_network, get_spec, registry, write_weights


def untrained_weights(network: str, classes: int | None, folder: Path) -> Path:
    """Write random weights, always the same; ``None``: with the network's own classes."""
    path = folder / f"{network}.pdparams"
    paddle.seed(7)
    write_weights(create_network(network, classes).state_dict(), path)
    return path


def digits_jobs(folder: Path, **usual: Any) -> Callable[..., Config]:
    """Return ``make(train={...}, ...)``, which makes the config of a quick job on digits.

    Args:
        folder: Folder of runs and caches.
        usual: Sections shared by all jobs; those given to ``make`` are merged into them.
    """
    common: dict[str, Any] = {
        "name": "job",
        "output_dir": folder / "runs",
        "data": {"format": "digits", "image_size": 32, "workers": 1},
        "train": {"device": "cpu"},
        "cache": {"dir": folder / "cache"},
        "log": {"visualdl": False},
        "export": {"enabled": False},
    }

    def make(**sections: Any) -> Config:
        return make_config(_merged(_merged(common, usual), sections))

    return make


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge section by section; ``changes`` win."""
    merged = dict(values)
    for key, value in changes.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


THIN = 4
"""How many times fewer channels ``ThinResNet18`` has."""


class ThinResNet18(ResNet):
    """ResNet-18 with a quarter of its channels (0.7 instead of 11 million weights) and the same stages."""

    def __init__(self, num_classes: int = 1000, with_pool: bool = True) -> None:
        super().__init__(BasicBlock, 18, num_classes=0, with_pool=with_pool)
        self.num_classes = num_classes
        if num_classes > 0:
            self.fc = nn.Linear(512 // THIN, num_classes)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> nn.Sequential:
        if planes == 64:  # the first layer: the stem was made just before
            self.inplanes //= THIN
            self.conv1 = nn.Conv2D(3, self.inplanes, 7, stride=2, padding=3, bias_attr=False)
            self.bn1 = nn.BatchNorm2D(self.inplanes)
        return super()._make_layer(block, planes // THIN, blocks, stride, dilate)


_FULL = get_spec("resnet18")


@contextmanager
def resnet18_is(thin: bool) -> Iterator[None]:
    """Let the zoo's ``resnet18`` be the thin one, or the full one again, in this process."""
    before = registry._TABLE
    spec = replace(_FULL, factory=f"{__name__}.thin_resnet18", width=512 // THIN) if thin else _FULL
    registry._TABLE = MappingProxyType({**before, "resnet18": spec})
    try:
        yield
    finally:
        registry._TABLE = before


_STARTED = ExitStack()


def use_thin_resnet18() -> None:
    """Let the zoo's ``resnet18`` be the thin one until this process ends; for processes that tests start."""
    _STARTED.enter_context(resnet18_is(thin=True))


THIN_TRAIN = """
from tests.jobs import use_thin_resnet18
from toolkit.commands.cli import main
use_thin_resnet18()
main("train")
"""
"""The command ``train`` with the thin ResNet-18, for ``python -c``."""


def thin_resnet18(pretrained: bool = False, **options: Any) -> ThinResNet18:
    """Stands in for ``paddle.vision.models.resnet18``."""
    return ThinResNet18(**options)
