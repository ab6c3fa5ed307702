"""Presets and wishes become the right plan; contradictions are refused with the cure."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.config import TrainConfig, TransferConfig
from toolkit.core.errors import ConfigError
from toolkit.core.stages import StageInfo
from toolkit.transfer import PRESETS, Plan, PresetSpec, get_preset, resolve_cut, resolve_plan
from toolkit.transfer.plan import resolve_head_stages
from toolkit.transfer.presets import HEAD_FIRST

RESNET50 = [
    StageInfo(name, (64, 8, 8), 100)
    for name in ["stem", *(f"layer{k}.{i}" for k, n in ((1, 3), (2, 4), (3, 6), (4, 3)) for i in range(n))]
]
MOBILENET_V2 = [StageInfo(f"features.{i}", (32, 8, 8), 10) for i in range(19)]


def plan(stages: list[StageInfo], train: dict[str, Any] | None = None, **transfer: Any) -> Plan:
    return resolve_plan(TransferConfig(**transfer), TrainConfig(**(train or {})), stages)


@pytest.mark.parametrize(
    ("preset", "cut", "frozen", "top_rate", "augment", "head_first", "epochs"),
    [
        ("linear_probe", None, 19, 0.0, "none", False, 30),
        ("multi_stage_probe", None, 19, 0.0, "none", False, 30),
        ("shallow_probe", 8, 8, 0.0, "none", False, 30),
        ("most_stages", None, 5, 0.1, "strong", True, 25),
        ("last_stages", None, 14, 0.1, "standard", True, 15),
        ("all_stages_bold", None, 0, 0.3, "standard", True, 15),
        ("all_stages", None, 0, 0.1, "standard", True, 15),
        ("scratch", None, 0, 1.0, "standard", False, 40),
        ("custom", None, 0, 0.1, "standard", False, 15),
    ],
)
def test_presets_on_mobilenet_v2(
    preset: str,
    cut: int | None,
    frozen: int,
    top_rate: float,
    augment: str,
    head_first: bool,
    epochs: int,
) -> None:
    found = plan(MOBILENET_V2, preset=preset)
    *before, phase = found.phases
    assert [(each.frozen, each.epochs) for each in before] == [(19, HEAD_FIRST)] * head_first
    assert (found.cut, phase.frozen, found.augment, phase.epochs) == (cut, frozen, augment, epochs)
    assert len(phase.multipliers) == (cut or 19)
    assert phase.multipliers[:frozen] == (0.0,) * frozen
    assert set(phase.multipliers[frozen:]) <= {top_rate}
    assert found.pretrained is (preset != "scratch")


def test_resnet50_keeps_its_last_stages() -> None:
    assert plan(RESNET50, preset="last_stages").frozen == 13
    assert resolve_cut(TransferConfig(preset="shallow_probe"), RESNET50) == 7


@pytest.mark.parametrize("spec", PRESETS, ids=lambda spec: spec.name)
def test_every_row_is_sound(spec: PresetSpec) -> None:
    assert get_preset(spec.name) is spec
    assert 0 <= spec.freeze <= 1
    assert 0 < spec.backbone_lr <= 1
    assert 0 < spec.lr_decay <= 1
    assert spec.augment in ("none", "standard", "strong")
    assert spec.description.count("\n") == 0
    assert spec.description
    assert spec.source
    assert not (spec.pretrained and spec.freeze < 1 and spec.backbone_lr >= 1), "pretrained weights learn slower"
    for count in range(1, 60):
        stages = [StageInfo(str(i), (1,), 1) for i in range(count)]
        found = resolve_plan(TransferConfig(preset=spec.name), TrainConfig(), stages)
        assert 0 <= found.frozen <= (found.cut or count)
        assert spec.freeze == 1 or found.frozen < (found.cut or count)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_every_optimizer_has_a_rate_and_heads_alone_learn_faster(optimizer: str) -> None:
    head = plan(MOBILENET_V2, {"optimizer": optimizer}, preset="linear_probe").phases[0].lr
    tuned = plan(MOBILENET_V2, {"optimizer": optimizer}, preset="all_stages").phases[-1].lr
    assert 0 < tuned <= head


def test_a_head_on_few_features_learns_faster() -> None:
    shallow, deep = (plan(RESNET50, preset=preset).phases[0].lr for preset in ("shallow_probe", "linear_probe"))
    assert shallow > deep


def test_the_user_goes_before_the_preset() -> None:
    found = plan(
        MOBILENET_V2,
        {"epochs": 3, "lr": 0.5},
        preset="last_stages",
        freeze="features.9",
        backbone_lr=0.2,
        lr_decay=0.5,
    )
    (phase,) = found.phases
    assert (phase.epochs, phase.lr, phase.frozen) == (3, 0.5, 10)
    assert phase.multipliers[-3:] == (0.05, 0.1, 0.2)
    assert phase.multipliers[10] == pytest.approx(0.2 * 0.5**8)


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [(0, 0), ("none", 0), (4, 4), ("all", 17), ("stem", 1), ("layer3.0", 9), ("layer3", 14), ("layer4.2", 17)],
)
def test_freeze_by_number_name_and_group(freeze: int | str, expected: int) -> None:
    assert plan(RESNET50, preset="custom", freeze=freeze).frozen == expected


def test_freezing_all_gives_the_rate_of_a_head_alone() -> None:
    assert (
        plan(RESNET50, preset="all_stages", freeze="all").phases[0].lr
        == plan(RESNET50, preset="linear_probe").phases[0].lr
    )


def test_freeze_counts_kept_stages_of_a_cut_network() -> None:
    found = plan(RESNET50, preset="last_stages", cut="layer2")
    assert (found.cut, found.frozen, len(found.phases[0].multipliers)) == (8, 6, 8)
    with pytest.raises(ConfigError, match=r"transfer\.freeze: 9 is not a number of stages; expected 0 to 8"):
        plan(RESNET50, preset="custom", cut="layer2", freeze=9)
    with pytest.raises(ConfigError, match=r"unknown stage 'layer4\.0'"):
        plan(RESNET50, preset="custom", cut="layer2", freeze="layer4.0")


@pytest.mark.parametrize(("cut", "expected"), [(3, 3), ("layer1.0", 2), (17, None), ("layer4", None), ("none", None)])
def test_cut(cut: int | str, expected: int | None) -> None:
    assert resolve_cut(TransferConfig(preset="shallow_probe", cut=cut), RESNET50) == expected


@pytest.mark.parametrize(
    ("cut", "message"), [(0, "no stage would be left"), (18, "0 to 17"), ("layer9", "unknown stage")]
)
def test_cut_errors(cut: int | str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_cut(TransferConfig(preset="custom", cut=cut), RESNET50)


def test_multipliers_by_stage_and_group() -> None:
    found = plan(RESNET50, preset="custom", lr_multipliers={"layer4": 0.5, "layer4.2": 0.9, "stem": 0.01})
    assert found.phases[0].multipliers[-4:] == (0.1, 0.5, 0.5, 0.9)
    assert found.phases[0].multipliers[0] == 0.01


def test_multiplier_of_an_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"lr_multipliers\.layr4\.2: unknown stage") as caught:
        plan(RESNET50, preset="custom", lr_multipliers={"layr4.2": 0.5})
    assert "layer4.2" in (caught.value.hint or "")
    assert "stem, layer1.0" in caught.value.message


def test_multiplier_of_a_frozen_stage_is_a_contradiction() -> None:
    with pytest.raises(ConfigError, match=r"layer1\.0 has 0\.5, but the plan freezes it"):
        plan(RESNET50, preset="last_stages", lr_multipliers={"layer1.0": 0.5})
    found = plan(RESNET50, preset="last_stages", lr_multipliers={"layer1.0": 0.0})
    assert found.phases[-1].multipliers[1] == 0.0


def test_multiplier_of_a_stage_that_moves_in_a_later_phase_is_fine() -> None:
    phases = [{"epochs": 1, "freeze": "all"}, {"epochs": 1, "freeze": "none"}]
    found = plan(RESNET50, preset="custom", lr_multipliers={"stem": 0.5}, phases=phases)
    assert [phase.multipliers[0] for phase in found.phases] == [0.0, 0.5]


def test_multiplier_above_the_cut() -> None:
    with pytest.raises(ConfigError, match=r"layer4\.2: the stage is above the cut at layer2\.3"):
        plan(RESNET50, preset="custom", cut="layer2", lr_multipliers={"layer4.2": 0.5})


@pytest.mark.parametrize("wish", [{"backbone_lr": 0.0}, {"lr_multipliers": {"layer2": 0.0}}])
def test_rate_zero_is_not_freezing(wish: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"learning rate 0 .* not frozen"):
        plan(RESNET50, preset="all_stages", **wish)


def test_phases() -> None:
    phases = [{"epochs": 2, "freeze": "all", "name": "head"}, {"epochs": 5, "freeze": "layer2", "backbone_lr": 0.2}]
    found = plan(RESNET50, preset="linear_probe", phases=phases)
    head, rest = found.phases
    spec = get_preset("linear_probe")
    assert (head.name, head.epochs, head.frozen, head.lr) == ("head", 2, 17, spec.head_lr.adamw)
    assert (rest.name, rest.epochs, rest.frozen, rest.lr) == ("phase 2", 5, 8, spec.tuning_lr.adamw)
    assert set(rest.multipliers[8:]) == {0.2}
    assert (found.epochs, found.frozen) == (7, 8)


def test_rate_of_a_phase_its_own_then_train_then_preset() -> None:
    phases = [{"epochs": 1, "lr": 0.3}, {"epochs": 1}]
    assert [phase.lr for phase in plan(RESNET50, {"lr": 0.2}, preset="all_stages", phases=phases).phases] == [0.3, 0.2]


def test_phases_and_epochs_say_what_holds() -> None:
    found = plan(RESNET50, {"epochs": 9}, preset="all_stages", phases=[{"epochs": 1}])
    assert found.epochs == 1
    assert found.notes == ("train.epochs has no effect: the phases set their own length",)


def test_a_rate_for_a_frozen_backbone_is_noted() -> None:
    assert plan(RESNET50, preset="linear_probe", backbone_lr=0.1).notes == (
        "transfer.backbone_lr has no effect: all stages are frozen",
    )
    assert plan(RESNET50, preset="all_stages", backbone_lr=0.1, head_first=0).notes == ()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"freeze": 3}, "frozen ones would stay random"),
        ({"phases": [{"epochs": 1}, {"epochs": 1, "freeze": "stem"}]}, "frozen ones would stay random"),
        ({"freeze": 0, "phases": [{"epochs": 1}]}, "both given"),
        ({"phases": []}, "empty list"),
        ({"phases": [{"epochs": 1, "freeze": "layer9"}]}, r"transfer\.phases\.0\.freeze: unknown stage"),
        ({"freeze": -1}, "expected 0 to 17"),
    ],
)
def test_contradictions(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(RESNET50, preset="scratch", **wish)
    assert plan(RESNET50, preset="scratch", freeze=0).frozen == 0


def test_another_augmentation_leaves_the_rest() -> None:
    found = plan(RESNET50, preset="last_stages")
    other = found.with_augment("none")
    assert other.augment == "none"
    assert other.with_augment("standard") == found


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"preset": "all_stages"}, "frozen"),
        ({"preset": "custom", "freeze": 3}, "frozen"),
        ({"size": "medium"}, "frozen"),
        ({"size": "large"}, "train"),
        ({"preset": "all_stages_bold"}, "train"),
        ({"preset": "all_stages_bold", "batch_norm": "frozen"}, "frozen"),
        ({"preset": "scratch"}, "train"),
        ({"preset": "all_stages", "batch_norm": "train"}, "train"),
        ({"preset": "last_stages", "batch_norm": "frozen"}, "frozen"),
    ],
)
def test_batch_norm_does_what_the_preset_says_or_the_user(wish: dict[str, Any], expected: str) -> None:
    assert plan(RESNET50, **wish).batch_norm == expected


def test_random_weights_have_no_statistics_to_keep() -> None:
    with pytest.raises(ConfigError, match=r"batch_norm: preset scratch starts from random weights") as caught:
        plan(RESNET50, preset="scratch", batch_norm="frozen")
    assert caught.value.hint == "omit batch_norm, or choose another preset"
    assert plan(RESNET50, preset="scratch", batch_norm="train") == plan(RESNET50, preset="scratch")


def test_nor_has_a_network_that_comes_without_weights() -> None:
    wish = TransferConfig(preset="all_stages")
    assert resolve_plan(wish, TrainConfig(), RESNET50, pretrained=False).batch_norm == "train"
    with pytest.raises(ConfigError, match=r"batch_norm: model\.pretrained: false starts from random") as caught:
        resolve_plan(wish.model_copy(update={"batch_norm": "frozen"}), TrainConfig(), RESNET50, pretrained=False)
    assert caught.value.hint == "omit batch_norm, or set model.pretrained"


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'last_stage'") as caught:
        get_preset("last_stage")
    assert caught.value.hint == "did you mean last_stages?"


def test_the_optimizer_follows_what_moves() -> None:
    assert plan(MOBILENET_V2, preset="linear_probe").optimizer == "momentum"
    assert plan(MOBILENET_V2, preset="last_stages").optimizer == "adamw"
    assert plan(MOBILENET_V2, {"optimizer": "sgd"}, preset="all_stages").optimizer == "sgd"


def test_a_rate_that_is_much_for_the_chosen_optimizer_is_noted() -> None:
    assert any("is high for" in note for note in plan(MOBILENET_V2, {"lr": 0.1}, preset="all_stages").notes)
    assert plan(MOBILENET_V2, {"lr": 0.1, "optimizer": "momentum"}, preset="all_stages", head_first=0).notes == ()


def test_regression_takes_adamw_for_a_head_alone() -> None:
    transfer, train = TransferConfig(preset="linear_probe"), TrainConfig()
    assert resolve_plan(transfer, train, MOBILENET_V2).optimizer == "momentum"
    assert resolve_plan(transfer, train, MOBILENET_V2, "regression").optimizer == "adamw"
    assert resolve_plan(transfer, TrainConfig(optimizer="sgd"), MOBILENET_V2, "regression").optimizer == "sgd"


@pytest.mark.parametrize(
    ("preset", "wanted", "read"),
    [
        ("linear_probe", None, ()),
        ("linear_probe", "last", ()),
        ("linear_probe", "upper_half", range(9, 19)),
        ("linear_probe", ("features.3", "features.18"), (3, 18)),
        ("linear_probe", ("features.18",), ()),
        ("multi_stage_probe", None, range(9, 19)),
        ("multi_stage_probe", "all", range(19)),
        ("multi_stage_probe", "last", ()),
    ],
)
def test_the_config_overrides_the_stages_that_a_presets_head_reads(preset: str, wanted: Any, read: Any) -> None:
    found = resolve_plan(TransferConfig(preset=preset), TrainConfig(), MOBILENET_V2, head_stages=wanted)
    assert found.head_stages == tuple(read)
    assert any("the head reads pooled features of" in note for note in found.notes) == bool(found.head_stages)


def test_a_multi_stage_probe_is_a_linear_probe_otherwise() -> None:
    probes = [plan(MOBILENET_V2, preset=preset) for preset in ("multi_stage_probe", "linear_probe")]
    assert probes[0].phases == probes[1].phases
    assert [(each.cut, each.augment, each.frozen, each.optimizer) for each in probes] == [
        (None, "none", 19, "momentum")
    ] * 2


def test_a_head_reads_stages_below_the_cut_and_the_last_one() -> None:
    transfer = TransferConfig(preset="multi_stage_probe", cut="features.7")
    assert resolve_plan(transfer, TrainConfig(), MOBILENET_V2).head_stages == (4, 5, 6, 7)
    names = [stage.name for stage in MOBILENET_V2]
    with pytest.raises(ConfigError, match=r"model.head.stages: unknown stage 'features.9'"):
        resolve_head_stages(transfer, ("features.9",), names[:8])
    with pytest.raises(ConfigError, match=r"does not read the last stage, features.18.*above features.9 are useless"):
        resolve_head_stages(transfer, ("features.9",), names)
    assert resolve_head_stages(transfer, None, names[:1]) == ()
