"""Options that do not go together are refused in one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.config import Config, dump_config, load_config, make_config
from toolkit.core.errors import ConfigError


def build(task: str = "classification", **sections: Any) -> Config:
    return make_config({"name": "a", "model": {"name": "resnet18"}, "task": task, **sections})


CSV = {"format": "csv", "weight_column": "w"}


@pytest.mark.parametrize(
    ("task", "sections", "words"),
    [
        ("multilabel", {"data": {"sampling": "balanced"}}, "multilabel has no classes; train.class_weights: balanced"),
        ("regression", {"data": {"sampling": "balanced"}}, "regression has no classes"),
        ("regression", {"train": {"loss": "focal"}}, "train.loss: focal is for classes and labels"),
        ("regression", {"train": {"class_weights": {"a": 1}}}, "train.class_weights is for classes"),
        ("regression", {"train": {"cutmix": 1}}, "use train.mixup for regression"),
        ("classification", {"train": {"solver": "exact", "mixup": 0.2}}, "leave out train.mixup"),
        (
            "classification",
            {"train": {"solver": "exact", "loss": "focal", "class_weights": "balanced"}, "data": CSV},
            "leave out train.loss: focal and train.class_weights and data.weight_column",
        ),
        ("classification", {"train": {"solver": "exact"}, "data": {"sampling": "balanced"}}, "leave out data.sampling"),
        (
            "classification",
            {"train": {"class_weights": "balanced"}, "data": {"sampling": "balanced"}},
            "already compensates for small classes",
        ),
        ("classification", {"train": {"l2_sp": 0.1}, "transfer": "scratch"}, "preset scratch has none"),
        (
            "classification",
            {"train": {"l2_sp": 0.1}, "model": {"name": "resnet18", "pretrained": False}},
            "model.pretrained: false has none",
        ),
        ("classification", {"train": {"mixup": 0.1}, "cache": {"views": 4}}, "leave out cache.views"),
        ("classification", {"train": {"clip_norm": 1, "clip_value": 1}}, "use only one of them"),
        ("classification", {"train": {"focal_gamma": 1}}, "belongs to train.loss: focal"),
        ("classification", {"train": {"effective_beta": 0.9}}, "belongs to train.class_weights: effective"),
        ("classification", {"data": {"weight_column": "w"}}, "format is folder"),
        ("classification", {"data": {"format": "csv", "sampling": "weighted"}}, "set weight_column"),
        (
            "classification",
            {"train": {"class_weights": {"a": 0}}},
            "expected a number above 0 for the weight of a (found 0)",
        ),
        ("classification", {"train": {"class_weights": "balnced"}}, "expected balanced, effective"),
        ("classification", {"train": {"mixup": -1}}, "train.mixup"),
        ("classification", {"train": {"mixup": float("inf")}}, "train.mixup"),
    ],
)
def test_contradictions(task: str, sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(task, **sections)
    assert words in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


def test_what_goes_together() -> None:
    build(train={"loss": "focal", "class_weights": {5: 2.0}, "mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1})
    build("multilabel", train={"loss": "focal", "class_weights": "effective", "effective_beta": 0.9, "cutmix": 1})
    build("regression", train={"mixup": 0.2}, data={**CSV, "sampling": "weighted"})
    build(train={"solver": "exact", "l2_sp": 0.1})
    build(train={"class_weights": {"a": 2}}, data={"sampling": "balanced"})
    assert build().train.mixing == ()
    assert build(train={"mixup": 0.2, "cutmix": 1}).train.mixing == ("mixup", "cutmix")


def test_names_of_classes_are_text_and_survive_a_dump(tmp_path: Any) -> None:
    config = build(train={"class_weights": {5: 2.0, "b": 1}})
    assert config.train.class_weights == {"5": 2.0, "b": 1.0}
    path = tmp_path / "a.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
