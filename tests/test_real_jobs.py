"""The shipped configs on real images with real ImageNet weights, against the accuracy they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import load_config
from toolkit.engine import RunResult, Trainer
from toolkit.zoo import imagenet_classes

pytestmark = pytest.mark.slow


@pytest.fixture
def train(repo: Path, weights: Callable[[str], Path], tmp_path: Path) -> Callable[..., RunResult]:
    """``train("cub200", "data.root=...")`` trains a shipped config with MobileNetV2 and real weights."""

    def run(name: str, *overrides: str) -> RunResult:
        own = [f"output_dir={tmp_path / 'runs'}", f"cache.dir={tmp_path / 'cache'}", "model.name=mobilenet_v2"]
        own += [f"model.pretrained={weights('mobilenet_v2')}", "train.device=cpu", "log.visualdl=false"]
        return Trainer.from_config(load_config(repo / "configs" / f"{name}.yaml", [*own, *overrides])).fit()

    return run


def test_ants_and_bees_small_similar(train: Callable[..., RunResult], assets: Path) -> None:
    result = train("small_similar", f"data.root={assets / 'datasets' / 'ants_bees'}")
    assert result.best["top1"] >= 0.91
    assert result.last["top1"] >= 0.91


def test_birds_small_similar(train: Callable[..., RunResult], assets: Path) -> None:
    root = assets / "datasets" / "CUB_200_2011_mini"
    result = train("cub200", f"data.root={root}", "transfer.preset=small_similar")
    assert result.best["top1"] >= 0.92
    assert result.last["top1"] >= 0.92


def test_x_rays_shallow_features(train: Callable[..., RunResult], assets: Path) -> None:
    result = train("small_different", f"data.root={assets / 'datasets' / 'chest_xray'}")
    assert result.best["top1"] >= 0.79


def test_last_stages_of_ants_and_bees_from_cached_features(train: Callable[..., RunResult], assets: Path) -> None:
    result = train(
        "large_similar", f"data.root={assets / 'datasets' / 'ants_bees'}", "data.augment=none", "train.epochs=2"
    )
    assert result.best["top1"] >= 0.88
    assert result.folder.read_record()["frozen_proof"][0]["moved"] == []


@pytest.mark.timeout(600)
def test_squeezenet_recognises_imagenet(repo: Path, weights: Callable[[str], Path], assets: Path) -> None:
    """One picture a class, in the order of the classes; measured: top-1 0.617, top-5 0.825."""
    words = [repo / "tools" / "predict.py", "--network", "squeezenet1_1", "--weights", weights("squeezenet1_1")]
    words += ["--json", "--device", "cpu", assets / "datasets" / "imagenet_sample"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr
    found = sorted(json.loads(done.stdout), key=lambda item: Path(item["path"]).name)
    classes = imagenet_classes()
    assert len(found) == len(classes) == 1000
    assert sum(item["label"][0] == truth for item, truth in zip(found, classes, strict=True)) >= 570
    assert sum(truth in item["label"] for item, truth in zip(found, classes, strict=True)) >= 800
