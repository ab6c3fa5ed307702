"""What ``transfer`` and ``train.lr`` take, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.config import Config, make_config, with_overrides
from toolkit.core.errors import ConfigError


def make(**sections: Any) -> Config:
    return make_config({"name": "job", "model": "resnet18", **sections})


def test_size_replaces_a_preset_and_survives_a_round_trip() -> None:
    config = make(transfer={"size": "small"})
    assert (config.transfer.size, config.transfer.preset) == ("small", "custom")
    assert with_overrides(config, seed=1).transfer == config.transfer


@pytest.mark.parametrize("preset", ["finetune", "auto", "small_similar"])
def test_size_with_a_preset_is_refused(preset: str) -> None:
    with pytest.raises(ConfigError, match=rf"leave out either size or preset \({preset}\)"):
        make(transfer={"size": "small", "preset": preset})


def test_auto_is_no_preset_to_compare() -> None:
    assert make(transfer="auto").transfer.preset == "auto"
    with pytest.raises(ConfigError, match="auto selects one of the others"):
        make(transfer={"compare": ["auto"]})


@pytest.mark.parametrize(("value", "expected"), [("auto", "auto"), (0.1, 0.1), ("1e-3", 1e-3), (None, None)])
def test_learning_rates(value: Any, expected: Any) -> None:
    assert make(train={"lr": value}).train.lr == expected


@pytest.mark.parametrize("value", [0, -1, "atuo"])
def test_wrong_learning_rates(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"train\.lr: expected"):
        make(train={"lr": value})


@pytest.mark.parametrize(
    "section",
    [
        {"transfer": {"head_first": -1}},
        {"transfer": {"size": "huge"}},
        {"transfer": {"batch_norm": "freeze"}},
        {"train": {"tta": 0}},
    ],
)
def test_out_of_range(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**section)


@pytest.mark.parametrize("value", ["frozen", "train", None])
def test_batch_norm_is_the_presets_unless_said(value: str | None) -> None:
    assert make(transfer={"batch_norm": value}).transfer.batch_norm == value
    assert make().transfer.batch_norm is None
