"""Who takes part, what the usual recipe is, and names that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.bakeoff.candidates import _merged, candidate_names, check_candidates, make_candidates
from toolkit.config import Config, note_alias
from toolkit.core.console import console
from toolkit.core.errors import ConfigError, DataError, NetworkError, ToolkitError, WeightsError

Make = Callable[..., Config]


def names(config: Config, *arguments: object, **options: object) -> list[str]:
    return [candidate.title for candidate in make_candidates(config, *arguments, **options)]  # type: ignore[arg-type]


def test_the_probe_the_usual_recipe_and_scratch_always_take_part(make: Make) -> None:
    assert names(make(), []) == ["last_stages", "linear_probe", "usual_recipe", "scratch"]
    assert names(make(), ["scratch", "all_stages"])[-1] == "all_stages"
    assert set(names(make(), None)) == set(candidate_names())


def test_earlier_names_mean_the_same_candidates(make: Make) -> None:
    note_alias.cache_clear()
    with console.capture() as printed:
        found = names(make(), ["small_similar", "small_different", "small_different/finetune_most"], extra=())
    assert found == ["last_stages", "linear_probe", "shallow_probe", "most_stages"]
    assert "small_different/finetune_most is the plan most_stages" in printed.get()
    own = make(transfer={"preset": "small_different", "variant": "finetune_most"})
    assert names(own, ["most_stages", "finetune"], extra=()) == ["most_stages", "all_stages"]


def test_a_head_on_several_stages_is_a_plan_of_its_own(make: Make) -> None:
    def found(**model: object) -> dict[str, tuple[str, ...]]:
        config = make(**({"model": model} if model else {}))
        candidates, _ = check_candidates(config, make_candidates(config, ["linear_probe", "multi_stage_probe"]))
        return {candidate.name: candidate.also for candidate in candidates}

    assert found()["multi_stage_probe"] == ()
    assert found(head={"stages": "last"})["linear_probe"] == ("multi_stage_probe",)


def test_the_config_s_own_plan_keeps_its_wishes_and_the_others_do_not(make: Make, tmp_path: Path) -> None:
    config = make(transfer={"preset": "all_stages", "freeze": 2}, train={"lr": 0.004, "momentum": 0.8})
    own, other = make_candidates(config, ["last_stages"], extra=())
    assert (own.name, own.config(config, 0, tmp_path).transfer.freeze) == ("all_stages", 2)
    assert own.config(config, 0, tmp_path).train.lr == 0.004
    made = other.config(config, 2, tmp_path)
    assert (made.transfer.freeze, made.train.lr, made.train.momentum) == (None, None, 0.8)
    assert (made.seed, made.data.split_seed, made.name) == (2, 2, "last_stages-seed2")


@pytest.mark.parametrize("epochs", [None, 4])
@pytest.mark.parametrize("network", ["squeezenet1_1", "resnet18"])
def test_the_usual_recipe_moves_everything_at_one_rate(
    make: Make, network: str, epochs: int | None, resnet_weights: Path
) -> None:
    batch_norm = network == "resnet18"
    model = {"model": {"name": network, "pretrained": str(resnet_weights)}} if batch_norm else {}
    config = make(train={"epochs": epochs}, **model)
    found, job = check_candidates(config, make_candidates(config, []))
    usual = next(candidate for candidate in found if candidate.name == "usual_recipe")
    assert usual.plan is not None
    (phase,) = usual.plan.phases
    assert (phase.frozen, set(phase.multipliers), phase.lr) == (0, {1.0}, 0.01 if batch_norm else 0.001)
    assert (usual.plan.optimizer, usual.plan.pretrained, usual.plan.batch_norm) == ("momentum", True, "train")
    statistics = {each.name: each.plan.batch_norm for each in found if each.plan}
    assert statistics == {
        "last_stages": "frozen",
        "linear_probe": "frozen",
        "usual_recipe": "train",
        "scratch": "train",
    }
    assert len(job.data.classes) == 2


@pytest.mark.parametrize(
    ("own", "others", "epochs"),
    [
        ("last_stages", [], 25),
        ("last_stages", ["most_stages"], 35),
        ("linear_probe", [], 25),  # no other candidate fine-tunes: as long as ``all_stages`` would
        ("scratch", ["linear_probe"], 25),
    ],
)
def test_the_usual_recipe_is_trained_as_long_as_others_fine_tune(
    make: Make, own: str, others: list[str], epochs: int
) -> None:
    config = make(transfer={"preset": own}, train={"epochs": None})
    found, _ = check_candidates(config, make_candidates(config, others))
    lengths = {each.name: each.plan.epochs for each in found if each.plan}
    assert (lengths["usual_recipe"], lengths["scratch"]) == (epochs, 40)
    assert [each.name for each in found][:3] == list(dict.fromkeys([own, "linear_probe", "usual_recipe", "scratch"]))[
        :3
    ]


def test_regularisers_stay_where_they_belong(make: Make) -> None:
    config = make(train={"l2_sp": 0.01, "mixup": 0.2, "label_smoothing": 0.1})
    found = {each.name: each.config(config, 0, Path()).train for each in make_candidates(config, ["all_stages"])}
    assert [(name, train.l2_sp, train.mixup, train.label_smoothing) for name, train in found.items()] == [
        ("last_stages", 0.01, 0.2, 0.1),
        ("linear_probe", 0.01, 0.2, 0.1),
        ("usual_recipe", 0.0, 0.0, 0.0),
        ("scratch", 0.0, 0.2, 0.1),
        ("all_stages", 0.01, 0.2, 0.1),
    ]


def test_presets_that_mean_the_same_are_trained_once(make: Make) -> None:
    found, _ = check_candidates(make(), make_candidates(make(), [], extra=("linear_probe",)))
    own, probe = found
    assert probe.plan is not None
    twin = replace(probe, name="shallow_probe", plan=replace(probe.plan, preset="shallow_probe"))
    assert _merged([own, probe, twin]) == [own, replace(probe, also=("shallow_probe",))]
    assert _merged([own, probe, replace(twin, train={**twin.train, "seed": 1})])[1].also == ()


def test_who_always_takes_part_comes_first_then_what_is_quick(make: Make) -> None:
    found, _ = check_candidates(make(), make_candidates(make(), None))
    order = sorted(found, key=lambda each: each.turn)
    names = [each.name for each in order]
    assert names[:4] == ["linear_probe", "last_stages", "usual_recipe", "scratch"]
    assert [each.always for each in order] == [True] * 4 + [False] * (len(order) - 4)
    assert {"all_stages", "all_stages_bold", "most_stages"} <= {
        name for each in order[4:] for name in (each.name, *each.also)
    }
    one_of_them = make_candidates(make(), ["scratch", "all_stages"], extra=())
    assert [(each.name, each.always) for each in one_of_them] == [
        ("last_stages", True), ("scratch", False), ("all_stages", False),
    ]  # fmt: skip


def test_networks_have_weights_of_their_own(make: Make, squeeze_weights: Path) -> None:
    config = make()
    found = make_candidates(config, [], ["squeezenet1_1", f"squeezenet1_0={squeeze_weights}", "alexnet=true"], extra=())
    assert [candidate.title for candidate in found] == [
        "last_stages", "squeezenet1_0: last_stages", "alexnet: last_stages",
    ]  # fmt: skip
    assert [candidate.pretrained for candidate in found] == [str(squeeze_weights), str(squeeze_weights), True]
    assert found[1].config(config, 0, Path()).name == "squeezenet1_0-last_stages-seed0"


@pytest.mark.parametrize(
    ("presets", "networks", "error", "words"),
    [
        (["linear_prob"], [], ConfigError, "did you mean linear_probe"),
        (["small_different/shallow"], [], ConfigError, "unknown preset"),
        (["shallow_prob"], [], ConfigError, "did you mean shallow_probe"),
        ([], ["squeezenet1_2"], NetworkError, "squeezenet1_"),
        ([], ["squeezenet1_0"], ConfigError, "--networks squeezenet1_0=FILE"),
        ([], ["squeezenet1_1=nowhere.pdparams"], WeightsError, "nowhere.pdparams"),
    ],
)
def test_bad_names_are_one_clear_line(
    make: Make, presets: list[str], networks: list[str], error: type[ToolkitError], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_candidates(make(), make_candidates(make(), presets, networks))


def test_one_class_is_nothing_to_compare_on(make: Make) -> None:
    config = make(data={"classes": ["3"]})
    with pytest.raises(DataError, match="at least 2 classes, found 1: 3"):
        check_candidates(config, make_candidates(config, []))
