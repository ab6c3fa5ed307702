"""Who takes part, what the usual recipe is, and names that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.bakeoff.candidates import candidate_names, check_candidates, make_candidates
from toolkit.config import Config
from toolkit.core.errors import ConfigError, DataError, NetworkError, ToolkitError, WeightsError

Make = Callable[..., Config]


def names(config: Config, *arguments: object) -> list[str]:
    return [candidate.title for candidate in make_candidates(config, *arguments)]  # type: ignore[arg-type]


def test_the_probe_the_usual_recipe_and_scratch_always_take_part(make: Make) -> None:
    assert names(make(), []) == ["large_similar", "linear_probe", "usual_recipe", "scratch"]
    assert names(make(), ["scratch", "finetune"])[-1] == "finetune"
    assert set(names(make(), None)) == set(candidate_names())


def test_variants_have_names_of_their_own(make: Make) -> None:
    found = names(make(), ["small_different", "small_different/finetune_most"])
    assert found[-2:] == ["small_different/shallow_features", "small_different/finetune_most"]
    own = make(transfer={"preset": "small_different", "variant": "finetune_most"})
    assert names(own, ["small_different/finetune_most"])[0] == "small_different/finetune_most"


def test_a_head_on_several_stages_is_a_plan_of_its_own(make: Make) -> None:
    def found(**model: object) -> dict[str, tuple[str, ...]]:
        config = make(**({"model": model} if model else {}))
        candidates, _ = check_candidates(config, make_candidates(config, ["linear_probe", "multi_stage_probe"]))
        return {candidate.name: candidate.also for candidate in candidates}

    assert found()["multi_stage_probe"] == ()
    assert found(head={"stages": "last"})["linear_probe"] == ("multi_stage_probe",)


def test_the_config_s_own_plan_keeps_its_wishes_and_the_others_do_not(make: Make, tmp_path: Path) -> None:
    config = make(transfer={"preset": "finetune", "freeze": 2}, train={"lr": 0.004, "momentum": 0.8})
    own, other = make_candidates(config, ["large_similar"], extra=())
    assert (own.name, own.config(config, 0, tmp_path).transfer.freeze) == ("finetune", 2)
    assert own.config(config, 0, tmp_path).train.lr == 0.004
    made = other.config(config, 2, tmp_path)
    assert (made.transfer.freeze, made.train.lr, made.train.momentum) == (None, None, 0.8)
    assert (made.seed, made.data.split_seed, made.name) == (2, 2, "large_similar-seed2")


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
        "large_similar": "frozen",
        "linear_probe": "frozen",
        "usual_recipe": "train",
        "scratch": "train",
    }
    assert len(job.data.classes) == 2


@pytest.mark.parametrize(
    ("own", "others", "epochs"),
    [
        ("large_similar", [], 25),
        ("large_similar", ["small_different/finetune_most"], 35),
        ("linear_probe", [], 25),  # no other candidate fine-tunes: as long as ``finetune`` would
        ("scratch", ["small_similar"], 25),
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
    found = {each.name: each.config(config, 0, Path()).train for each in make_candidates(config, ["finetune"])}
    assert [(name, train.l2_sp, train.mixup, train.label_smoothing) for name, train in found.items()] == [
        ("large_similar", 0.01, 0.2, 0.1),
        ("linear_probe", 0.01, 0.2, 0.1),
        ("usual_recipe", 0.0, 0.0, 0.0),
        ("scratch", 0.0, 0.2, 0.1),
        ("finetune", 0.01, 0.2, 0.1),
    ]


def test_presets_that_mean_the_same_are_trained_once(make: Make) -> None:
    found, _ = check_candidates(make(), make_candidates(make(), ["small_similar"]))
    (probe,) = (candidate for candidate in found if candidate.name == "linear_probe")
    assert probe.also == ("small_similar",)
    assert "small_similar" not in {candidate.name for candidate in found}


def test_who_always_takes_part_comes_first_then_what_is_quick(make: Make) -> None:
    found, _ = check_candidates(make(), make_candidates(make(), None))
    order = sorted(found, key=lambda each: each.turn)
    names = [each.name for each in order]
    assert names[:4] == ["linear_probe", "large_similar", "usual_recipe", "scratch"]
    assert "small_similar" in order[0].also
    assert [each.always for each in order] == [True] * 4 + [False] * (len(order) - 4)
    assert {"finetune", "large_different", "small_different/finetune_most"} <= {
        name for each in order[4:] for name in (each.name, *each.also)
    }
    one_of_them = make_candidates(make(), ["scratch", "finetune"], extra=())
    assert [(each.name, each.always) for each in one_of_them] == [
        ("large_similar", True), ("scratch", False), ("finetune", False),
    ]  # fmt: skip


def test_networks_have_weights_of_their_own(make: Make, squeeze_weights: Path) -> None:
    config = make()
    found = make_candidates(config, [], ["squeezenet1_1", f"squeezenet1_0={squeeze_weights}", "alexnet=true"], extra=())
    assert [candidate.title for candidate in found] == [
        "large_similar", "squeezenet1_0: large_similar", "alexnet: large_similar",
    ]  # fmt: skip
    assert [candidate.pretrained for candidate in found] == [str(squeeze_weights), str(squeeze_weights), True]
    assert found[1].config(config, 0, Path()).name == "squeezenet1_0-large_similar-seed0"


@pytest.mark.parametrize(
    ("presets", "networks", "error", "words"),
    [
        (["linear_prob"], [], ConfigError, "did you mean linear_probe"),
        (["small_different/shallow"], [], ConfigError, "small_different/shallow_features"),
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
