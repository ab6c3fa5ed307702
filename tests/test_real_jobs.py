"""The shipped configs on real images with real ImageNet weights, against the accuracy they promise."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.run_helpers import features_of, logistic_regression
from toolkit.commands.runs import evaluate, find_run
from toolkit.config import load_config
from toolkit.engine import RunResult, Trainer, build_job
from toolkit.zoo import imagenet_classes

pytestmark = pytest.mark.slow

_LENGTHS = {
    "Black_footed_Albatross": 71,
    "Bobolink": 18,
    "Gray_Catbird": 22,
    "Gray_crowned_Rosy_Finch": 16,
    "American_Goldfinch": 12.5,
    "Western_Grebe": 65,
    "Pigeon_Guillemot": 34,
    "Ruby_throated_Hummingbird": 9,
    "Tropical_Kingbird": 21,
    "Horned_Lark": 18,
    "Red_breasted_Merganser": 58,
    "Orchard_Oriole": 17,
    "Horned_Puffin": 36,
    "Henslow_Sparrow": 12.5,
    "Tree_Swallow": 13.5,
    "Bay_breasted_Warbler": 14,
    "Golden_winged_Warbler": 12.5,
    "Wilson_Warbler": 12,
    "American_Three_toed_Woodpecker": 22,
    "Downy_Woodpecker": 16,
}
"""Body length in cm, from bill to tail, about."""
_ATTRIBUTES = {
    "water": ("Albatross", "Grebe", "Guillemot", "Merganser", "Puffin"),
    "yellow": ("Goldfinch", "Kingbird", "Golden_winged", "Wilson", "Bay_breasted", "Bobolink"),
    "woodpecker": ("Woodpecker",),
    "warbler": ("Warbler",),
    "streaked": ("Sparrow", "Lark", "Rosy_Finch", "Bay_breasted"),
}


def _attributes_of(species: str) -> list[str]:
    """What a species is or has."""
    return [name for name, parts in _ATTRIBUTES.items() if any(part in species for part in parts)]


def _write_table(root: Path, folder: Path, column: str, value: Callable[[str], object]) -> Path:
    """A csv of the set at ``root`` with a column of facts about the species, and its images beside it."""
    lines = {name: (root / name).read_text(encoding="utf-8").split() for name in ("images.txt", "train_test_split.txt")}
    pairs = zip(lines["images.txt"][1::2], lines["train_test_split.txt"][1::2], strict=True)
    folder.mkdir()
    (folder / "images").symlink_to(root / "images")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", column, "split"])
        for path, training in pairs:
            species = path.partition("/")[0].partition(".")[2]
            rows.writerow([f"images/{path}", value(species), "train" if training == "1" else "val"])
    return folder


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


def test_noise_costs_a_head_on_squeezenet_points(
    train: Callable[..., RunResult], weights: Callable[[str], Path], assets: Path
) -> None:
    """Ants and bees at 128 px; measured: 87.6 % as they are, 47.7 % with the strongest noise."""
    own = ["model.name=squeezenet1_1", f"model.pretrained={weights('squeezenet1_1')}", "data.image_size=128"]
    result = train(
        "small_similar", f"data.root={assets / 'datasets' / 'ants_bees'}", *own, "transfer.preset=linear_probe"
    )
    found = evaluate(find_run(result.folder.path, None), severities=(1, 5)).json["shift"]
    by_name = {(row["corruption"], row["severity"]): row for row in found["corruptions"]}
    assert found["clean"] == pytest.approx(result.best["top1"])
    assert by_name["noise", 5]["lost"] > 3 * by_name["noise", 5]["error"]
    assert by_name["noise", 5]["lost"] > by_name["noise", 1]["lost"]
    assert found["mean"]["lost"] > 2 * found["mean"]["error"] > 0


def test_birds_small_similar(train: Callable[..., RunResult], assets: Path) -> None:
    root = assets / "datasets" / "CUB_200_2011_mini"
    result = train("cub200", f"data.root={root}", "transfer.preset=linear_probe")
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
    assert result.folder.read_record()["frozen_check"][0]["moved"] == []


def test_attributes_of_birds(train: Callable[..., RunResult], assets: Path, tmp_path: Path) -> None:
    root = assets / "datasets" / "CUB_200_2011_mini"
    table = _write_table(root, tmp_path / "birds", "attributes", lambda species: "|".join(_attributes_of(species)))
    result = train("small_similar", f"data.root={table}", "data.format=csv", "task=multilabel", "train.epochs=10")
    assert result.last["map"] >= 0.94


def test_length_of_birds(train: Callable[..., RunResult], assets: Path, tmp_path: Path) -> None:
    table = _write_table(assets / "datasets" / "CUB_200_2011_mini", tmp_path / "birds", "cm", _LENGTHS.__getitem__)
    result = train("small_similar", f"data.root={table}", "data.format=csv", "task=regression", "train.epochs=10")
    assert result.last["r2"] >= 0.8
    assert result.last["mae"] <= 6


@pytest.mark.timeout(600)
def test_squeezenet_recognises_imagenet(repo: Path, weights: Callable[[str], Path], assets: Path) -> None:
    """One picture a class, in the order of the classes; measured: top-1 0.617, top-5 0.825."""
    words = [repo / "tools" / "predict.py", "--network", "squeezenet1_1", "--weights", weights("squeezenet1_1")]
    words += ["--json", "--device", "cpu", assets / "datasets" / "imagenet_sample"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = sorted(json.loads(done.stdout), key=lambda item: Path(item["path"]).name)
    classes = imagenet_classes()
    assert len(found) == len(classes) == 1000
    assert sum(item["label"][0] == truth for item, truth in zip(found, classes, strict=True)) >= 570
    assert sum(truth in item["label"] for item, truth in zip(found, classes, strict=True)) >= 800


@pytest.mark.parametrize(("name", "size"), [("chest_xray", 84), ("eurosat_rgb", 50), ("steel_defects", 60)])
def test_the_default_head_is_as_good_as_scikit_learns(
    train: Callable[..., RunResult], assets: Path, name: str, size: int
) -> None:
    """Within a point of logistic regression on the same features, or within the error of the validation images."""
    own = [f"data.root={assets / 'datasets' / name}", f"data.samples_per_class={size}", "data.image_size=128"]
    result = train("small_similar", *own)
    assert result.folder.read_record()["solver"]["solver"] == "exact"
    x, y, val_x, val_y = features_of(build_job(load_config(result.folder.config)))
    theirs = logistic_regression(x, y).score(val_x, val_y)
    error = (theirs * (1 - theirs) / len(val_y)) ** 0.5
    assert result.best["top1"] >= theirs - max(0.01, error)


def test_features_of_several_stages_tell_satellite_tiles_apart_better(
    train: Callable[..., RunResult], assets: Path
) -> None:
    """15 images per class; in the calibration 0.86 from the upper half of the stages, 0.76 from the last one."""
    own = [f"data.root={assets / 'datasets' / 'eurosat_rgb'}", "data.samples_per_class=15", "data.image_size=128"]
    last, several = (
        train("folder", *own, f"transfer.preset={preset}", f"name={preset}", "export.enabled=false")
        for preset in ("linear_probe", "multi_stage_probe")
    )
    assert several.best["top1"] >= last.best["top1"] + 0.04
    assert several.folder.read_record()["model"]["head_stages"][0] == "features.9"


def test_where_the_last_stage_suffices_several_are_as_good(train: Callable[..., RunResult], assets: Path) -> None:
    """Birds: the upper half alone would be 8 points worse."""
    own = [f"data.root={assets / 'datasets' / 'CUB_200_2011_mini'}", "data.samples_per_class=5", "data.image_size=128"]
    last, several = (
        train(
            "cub200",
            *own,
            "model.name=mobilenet_v2",
            "train.epochs=null",  # the head is solved
            f"transfer.preset={preset}",
            f"name={preset}",
            "export.enabled=false",
        )
        for preset in ("linear_probe", "multi_stage_probe")
    )
    assert several.best["top1"] >= last.best["top1"] - 0.02
