"""What ``transfer`` and ``train.lr`` take, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from toolkit.config import (
    PRESET_ALIASES,
    Config,
    dump_config,
    load_config,
    make_config,
    note_alias,
    plan_of,
    with_overrides,
)
from toolkit.config.transfer import Preset
from toolkit.core.console import console
from toolkit.core.errors import ConfigError


def make(**sections: Any) -> Config:
    return make_config({"name": "job", "model": "resnet18", **sections})


def test_size_replaces_a_preset_and_survives_a_round_trip() -> None:
    config = make(transfer={"size": "small"})
    assert (config.transfer.size, config.transfer.preset) == ("small", "custom")
    assert with_overrides(config, seed=1).transfer == config.transfer


@pytest.mark.parametrize("preset", ["all_stages", "auto", "linear_probe", "small_similar"])
def test_size_with_a_preset_is_refused(preset: str) -> None:
    with pytest.raises(ConfigError, match=rf"leave out either size or preset \({preset}\)"):
        make(transfer={"size": "small", "preset": preset})


ALIASES = {
    "small_similar": "linear_probe",
    "small_different": "shallow_probe",
    "small_different/shallow_features": "shallow_probe",
    "small_different/finetune_most": "most_stages",
    "large_similar": "last_stages",
    "large_different": "all_stages_bold",
    "finetune": "all_stages",
}


def test_every_earlier_name_is_the_plan_of_today() -> None:
    assert dict(PRESET_ALIASES) == ALIASES
    assert set(ALIASES.values()) <= set(get_args(Preset))
    assert not set(ALIASES) & set(get_args(Preset))


@pytest.mark.parametrize(("alias", "preset"), ALIASES.items())
def test_earlier_names_are_resolved_wherever_they_are_written(alias: str, preset: str, tmp_path: Path) -> None:
    name, _, variant = alias.partition("/")
    written = {"preset": name, "variant": variant} if variant else {"preset": name}
    (tmp_path / "a.yaml").write_text(f"model: resnet18\ntransfer: {alias}\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("model: resnet18\n", encoding="utf-8")
    found = [
        make(transfer=written),
        make(transfer=alias),
        make(transfer={"preset": alias, "variant": None}),
        load_config(tmp_path / "a.yaml"),
        load_config(tmp_path / "b.yaml", [f"transfer.{key}={value}" for key, value in written.items()]),
        with_overrides(make(), transfer=written),
    ]
    assert {config.transfer.preset for config in found} == {preset}
    assert make(transfer={"compare": ["scratch", alias]}).transfer.compare == ("scratch", preset)
    resolved = dump_config(found[0])
    assert f"preset: {preset}\n" in resolved
    assert "variant" not in resolved
    assert plan_of(alias) == plan_of(name, variant or None) == plan_of(preset) == preset


def test_an_earlier_name_is_explained_once() -> None:
    note_alias.cache_clear()
    with console.capture() as printed:
        config = make(transfer={"preset": "small_similar", "compare": ["finetune"]})
        make(transfer="small_similar")
        with_overrides(config, seed=1)
        make(transfer={"preset": "last_stages", "compare": ["all_stages"]})
    assert printed.get().splitlines() == [
        "transfer.preset: small_similar is the plan linear_probe",
        "transfer.preset: finetune is the plan all_stages",
    ]


@pytest.mark.parametrize(
    ("transfer", "words"),
    [
        ({"variant": "finetune_most"}, "variant belongs to preset small_different, not to all_stages"),
        ({"preset": "large_similar", "variant": "finetune_most"}, "small_different, not to last_stages"),
        ({"preset": "shallow_probe", "variant": "shallow_features"}, "small_different, not to shallow_probe"),
        ({"preset": "small_different", "variant": "deep"}, "expected shallow_features or finetune_most"),
        ({"preset": "small_different/deep"}, "transfer.preset: expected"),
        ({"preset": ["finetune"]}, "transfer.preset: expected"),
    ],
)
def test_a_variant_goes_with_one_earlier_name_only(transfer: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(transfer=transfer)


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
