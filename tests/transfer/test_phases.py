"""Options that put phases before a preset's own, the plan by size alone, and rates that are left to a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from toolkit.config import TrainConfig, TransferConfig
from toolkit.core.console import command
from toolkit.core.errors import ConfigError
from toolkit.core.stages import StageInfo
from toolkit.transfer import PRESETS, SIZES, Plan, get_preset, resolve_plan, spec_of
from toolkit.transfer.phases import requested_phases
from toolkit.transfer.presets import HEAD_FIRST

STAGES = [StageInfo(f"features.{i}", (32, 8, 8), 10) for i in range(19)]
NAMES = [stage.name for stage in STAGES]
MOVING = ("last_stages", "all_stages_bold", "all_stages")


def plan(train: dict[str, Any] | None = None, **transfer: Any) -> Plan:
    return resolve_plan(TransferConfig(**transfer), TrainConfig(**(train or {})), STAGES)


def shape(found: Plan) -> list[tuple[str, int, int]]:
    return [(phase.name, phase.epochs, phase.frozen) for phase in found.phases]


def test_head_first_puts_a_phase_before_the_presets_own() -> None:
    found = plan(preset="last_stages", head_first=4)
    assert shape(found) == [("head", 4, 19), ("fine-tune", 15, 14)]
    head, tuned = found.phases
    assert tuned == plan(preset="last_stages", head_first=0).phases[0]
    assert head.lr > tuned.lr
    assert (found.augment_of(head), found.augment_of(tuned)) == ("none", "standard")
    assert "2202.10054" in found.notes[0]
    assert (found.augment, found.optimizer) == ("standard", "adamw")


@pytest.mark.parametrize("wish", [{"preset": name} for name in MOVING] + [{"size": "medium"}, {"size": "large"}])
def test_presets_that_move_stages_begin_with_the_head(wish: dict[str, str]) -> None:
    assert HEAD_FIRST == 10
    head, tuned = plan(**wish).phases
    assert (head.name, head.epochs, head.frozen) == ("head", HEAD_FIRST, 19)
    assert (tuned,) == plan(**wish, head_first=0).phases
    assert plan(**wish) == plan(**wish, head_first=HEAD_FIRST)


def test_presets_that_do_not_move_pretrained_stages_do_not() -> None:
    own = [spec for spec in PRESETS if spec.head_first]
    assert {spec.name for spec in own} == {*MOVING, "most_stages"}
    assert shape(plan(preset="most_stages"))[0] == ("head", HEAD_FIRST, 19)
    for name in ("linear_probe", "shallow_probe", "scratch", "custom"):
        assert len(plan(preset=name).phases) == 1


@pytest.mark.parametrize(
    ("train", "transfer", "names"),
    [
        ({"epochs": 4}, {}, ["fine-tune"]),
        ({}, {"phases": [{"epochs": 2, "freeze": 3}]}, ["phase 1"]),
        ({"epochs": 2}, {"gradual_unfreezing": True}, ["head", "fine-tune"]),
        ({"epochs": 4}, {"head_first": HEAD_FIRST}, ["head", "fine-tune"]),
        ({}, {"gradual_unfreezing": False}, ["head", "fine-tune"]),
        ({"lr": 0.01, "optimizer": "momentum"}, {"backbone_lr": 0.5}, ["head", "fine-tune"]),
    ],
)
def test_who_says_how_long_to_train_gets_no_more(
    train: dict[str, Any], transfer: dict[str, Any], names: list[str]
) -> None:
    assert [phase.name for phase in plan(train, preset="all_stages_bold", **transfer).phases] == names


def test_a_network_without_weights_has_no_head_first() -> None:
    transfer = TransferConfig(preset="all_stages")
    found = resolve_plan(transfer, TrainConfig(), STAGES, pretrained=False)
    assert shape(found) == [("fine-tune", 15, 0)]
    assert found.notes == ()


def test_another_augmentation_leaves_the_heads_own() -> None:
    found = plan(preset="last_stages", head_first=4).with_augment("strong")
    assert [found.augment_of(phase) for phase in found.phases] == ["none", "strong"]


def test_train_lr_and_epochs_are_those_of_the_fine_tuning() -> None:
    found = plan({"lr": 0.004, "epochs": 7}, preset="all_stages", head_first=2)
    head, tuned = found.phases
    assert (tuned.lr, tuned.epochs, head.epochs) == (0.004, 7, 2)
    assert head.lr == plan(preset="all_stages", head_first=2).phases[0].lr


def test_head_first_before_custom_phases() -> None:
    phases = [{"epochs": 3, "freeze": 10}, {"epochs": 2, "freeze": 0}]
    assert shape(plan(preset="custom", phases=phases, head_first=1)) == [
        ("head", 1, 19),
        ("phase 1", 3, 10),
        ("phase 2", 2, 0),
    ]


def test_head_first_can_be_solved() -> None:
    found = plan({"solver": "exact"}, preset="all_stages", head_first=5)
    assert [(phase.epochs, phase.solver) for phase in found.phases] == [(1, "exact"), (15, "sgd")]


def test_gradual_unfreezing_takes_as_many_epochs_and_ends_where_the_preset_does() -> None:
    found = plan(preset="all_stages", gradual_unfreezing=True)
    assert shape(found) == [
        ("head", 1, 19),
        ("unfreeze 1", 1, 14),
        ("unfreeze 2", 1, 9),
        ("unfreeze 3", 1, 5),
        ("fine-tune", 11, 0),
    ]
    (alone,) = plan(preset="all_stages", head_first=0).phases
    assert found.epochs == alone.epochs
    assert found.phases[-1].multipliers == alone.multipliers
    assert any("1801.06146" in note for note in found.notes)


@pytest.mark.parametrize(
    ("epochs", "freeze", "expected"),
    [
        (2, 0, [(1, 19), (1, 0)]),
        (3, 0, [(1, 19), (1, 9), (1, 0)]),
        (9, 18, [(1, 19), (8, 18)]),
        (9, 17, [(1, 19), (1, 18), (7, 17)]),
    ],
)
def test_groups_follow_epochs_and_stages(epochs: int, freeze: int, expected: list[tuple[int, int]]) -> None:
    found = plan({"epochs": epochs}, preset="custom", freeze=freeze, gradual_unfreezing=True)
    assert [(phase.epochs, phase.frozen) for phase in found.phases] == expected


def test_both_options_together_have_one_head() -> None:
    found = plan(preset="all_stages", gradual_unfreezing=True, head_first=3)
    assert shape(found)[:2] == [("head", 3, 19), ("unfreeze 1", 1, 14)]
    assert [phase.name for phase in found.phases].count("head") == 1
    assert found.epochs == 3 + 15


def test_discriminative_rates_hold_in_every_phase() -> None:
    found = plan(preset="all_stages", gradual_unfreezing=True, lr_decay=0.5, backbone_lr=0.2)
    for phase in found.phases[1:]:
        assert phase.multipliers[-2:] == (0.1, 0.2)
        assert all(phase.multipliers[i] > 0 for i in range(phase.frozen, 19))


def test_decay_of_one_phase() -> None:
    phases = [{"epochs": 1, "lr_decay": 0.5}, {"epochs": 1}]
    first, second = plan(preset="custom", phases=phases, lr_decay=0.9).phases
    assert first.multipliers[-2] == pytest.approx(0.1 * 0.5)
    assert second.multipliers[-2] == pytest.approx(0.1 * 0.9)


def test_without_anything_that_moves_the_options_have_no_effect_and_it_is_said() -> None:
    found = plan(preset="linear_probe", head_first=3, gradual_unfreezing=True)
    assert shape(found) == shape(plan(preset="linear_probe"))
    assert found.notes == (
        "transfer.head_first has no effect: all stages are frozen",
        "transfer.gradual_unfreezing has no effect: all stages are frozen",
    )


@pytest.mark.parametrize(
    ("wish", "train", "message"),
    [
        ({"preset": "scratch", "head_first": 2}, {}, r"head_first: preset scratch starts from random weights"),
        ({"preset": "scratch", "gradual_unfreezing": True}, {}, r"gradual_unfreezing: preset scratch"),
        ({"gradual_unfreezing": True, "phases": [{"epochs": 1}]}, {}, "each decides what is frozen when"),
        ({"gradual_unfreezing": True}, {"epochs": 1}, r"1 epoch\(s\) and 19 stage\(s\) .* leave no phases"),
        ({"gradual_unfreezing": True, "head_first": 2, "freeze": 19}, {}, None),
    ],
)
def test_contradictions(wish: dict[str, Any], train: dict[str, Any], message: str | None) -> None:
    if message is None:
        plan(train, **wish)
        return
    with pytest.raises(ConfigError, match=message):
        plan(train, **wish)


def test_zero_and_false_turn_a_presets_wish_off() -> None:
    spec = replace(get_preset("all_stages"), head_first=2, gradual_unfreezing=True)
    found = requested_phases(TransferConfig(), TrainConfig(), spec, NAMES)
    assert [wish.name for wish in found] == ["head", "unfreeze 1", "unfreeze 2", "unfreeze 3", "fine-tune"]
    off = requested_phases(TransferConfig(head_first=0, gradual_unfreezing=False), TrainConfig(), spec, NAMES)
    assert [wish.name for wish in off] == ["fine-tune"]
    own = requested_phases(TransferConfig(phases=({"epochs": 1},)), TrainConfig(), spec, NAMES)
    assert [wish.name for wish in own] == ["phase 1"]


# by size alone


@pytest.mark.parametrize(("size", "frozen", "like"), [("small", 19, "linear_probe"), ("medium", 14, "last_stages")])
def test_size_freezes_all_or_most(size: str, frozen: int, like: str) -> None:
    found = plan(size=size)
    assert found.phases == plan(preset=like).phases
    assert found.frozen == frozen
    assert (found.preset, found.augment) == (like, plan(preset=like).augment)


def test_size_large_only_initialises() -> None:
    found = plan(size="large")
    assert (found.frozen, found.pretrained) == (0, True)
    assert found.preset == spec_of(TransferConfig(size="large")).name == "all_stages_bold"


def test_every_size_is_a_preset() -> None:
    assert set(SIZES) == set(get_args(get_args(TransferConfig.model_fields["size"].annotation)[0]))
    assert set(SIZES.values()) <= {spec.name for spec in PRESETS}


def test_auto_is_for_the_advisor() -> None:
    with pytest.raises(ConfigError, match=r"transfer\.preset: auto is not a plan yet") as caught:
        plan(preset="auto")
    assert command("advise", "-c", "YAML") in (caught.value.hint or "")


# rates that are left to a search


def test_auto_marks_the_phases_whose_rate_is_free() -> None:
    phases = [{"epochs": 1, "freeze": "all"}, {"epochs": 1, "lr": 0.5}, {"epochs": 1}]
    found = plan({"lr": "auto"}, preset="custom", phases=phases)
    assert [phase.search for phase in found.phases] == [True, False, True]
    assert [phase.search for phase in plan({"lr": "auto"}, preset="all_stages", head_first=1).phases] == [False, True]
    assert not any(phase.search for phase in plan(preset="all_stages").phases)


def test_auto_begins_at_the_presets_rate_and_is_settled_by_a_factor() -> None:
    usual, free = plan(preset="all_stages", head_first=1), plan({"lr": "auto"}, preset="all_stages", head_first=1)
    assert [phase.lr for phase in free.phases] == [phase.lr for phase in usual.phases]
    settled = free.with_rates(3.0)
    assert [phase.lr for phase in settled.phases] == [usual.phases[0].lr, 3.0 * usual.phases[1].lr]
    assert not any(phase.search for phase in settled.phases)
    assert settled.with_rates(3.0) == settled


def test_a_solved_head_has_nothing_to_search() -> None:
    found = plan({"lr": "auto", "solver": "exact"}, preset="linear_probe")
    assert not any(phase.search for phase in found.phases)
    assert "train.lr has no effect on a head that is solved" in found.notes
