"""Checks on real image sets with their defects (see the assets' README)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import BatchLoader, DataBundle, Preprocessing, build_data


def build(assets: Path, name: str, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"root": assets / "datasets" / name, **values}))


def sizes(data: DataBundle) -> dict[str, int]:
    return {part: len(images) for part, images in data.splits.items()}


def test_ants_and_bees(assets: Path) -> None:
    data = build(assets, "ants_bees")
    assert sizes(data) == {"train": 244, "val": 153}
    assert data.classes == ("ants", "bees")
    loader = BatchLoader(data.val, Preprocessing(224), batch_size=64, workers=2)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [64, 64, 25]
    means = np.concatenate([batch.inputs.mean(axis=(2, 3)) for batch in batches])
    assert np.abs(means.mean(axis=0)).max() < 0.5  # normalised: photographs are near zero


def test_chest_xray(assets: Path) -> None:
    data = build(assets, "chest_xray", samples_per_class=84)
    assert data.counts()["train"] == dict.fromkeys(data.classes, 84)
    assert sizes(data)["val"] == 225


def test_cub(assets: Path) -> None:
    data = build(assets, "CUB_200_2011_mini", format="cub200")
    assert sizes(data) == {"train": 584, "val": 600}
    assert len(data.classes) == 20
    assert data.classes[0] == "001.Black_footed_Albatross"


def test_flowers_have_an_image_in_two_classes(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = build(assets, "flower_photos")
    assert sizes(data) == {"train": 2934, "val": 736}
    message = capsys.readouterr().err
    assert "1 identical image(s) in two classes" in message
    assert "15922772266_1167a06620.jpg" in message
    assert "(roses / tulips)" in message


@pytest.mark.parametrize(
    ("name", "groups", "values"),
    [("flower_photos", 2, {}), ("flower_photos/train", 2, {"test_fraction": 0.2}), ("chest_xray", 1, {})],
)
def test_real_copies_within_a_class_are_reported_and_do_not_leak(
    assets: Path, capsys: pytest.CaptureFixture[str], name: str, groups: int, values: dict[str, float]
) -> None:
    for seed in range(3):
        data = build(assets, name, split_seed=seed, **values)
        assert f"{groups} identical image(s) in one class" in capsys.readouterr().err
        contents = {
            part: {Path(images.path(i)).read_bytes() for i in range(len(images))}
            for part, images in data.splits.items()
        }
        assert len(set.union(*contents.values())) == sum(map(len, contents.values()))


def test_eurosat(assets: Path) -> None:
    data = build(assets, "eurosat_rgb", samples_per_class=50)
    assert sizes(data) == {"train": 500, "val": 800}
    assert data.train.read(0).shape == (64, 64, 3)


def test_a_real_jpeg_cut_at_60_percent_is_noticed(assets: Path, tmp_path: Path) -> None:
    root = tmp_path / "ants_bees"
    shutil.copytree(assets / "datasets" / "ants_bees", root)
    victim = sorted((root / "train" / "bees").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * 0.6)])
    with pytest.raises(DataError, match=rf"1 of 397 images cannot be read: .*{victim.name} \(damaged"):
        build_data(DataConfig(root=root))
