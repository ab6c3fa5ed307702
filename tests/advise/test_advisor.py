"""The advisor on small real images: measure, judge, recommend, train; and mistakes in the request."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from tests.advise.made import measurement
from tests.jobs import untrained_weights
from toolkit.advise import advice_text, advise, advise_images, load_thresholds
from toolkit.advise.activations import Activations, activations
from toolkit.advise.advisor import _config, _plan, judge
from toolkit.advise.batchnorm import layer_distance
from toolkit.advise.choose import Choice
from toolkit.advise.measure import DEPTH_IMAGES, RANDOM_IMAGES, STATISTICS_IMAGES, measure
from toolkit.advise.measurement import Measurement
from toolkit.advise.request import AdviceRequest, request_of
from toolkit.advise.tables import evidence_table
from toolkit.advise.thresholds import BranchRule, PresetRule, Regulariser
from toolkit.advise.words import number as shown
from toolkit.bakeoff.candidates import check_candidates, make_candidates
from toolkit.commands.advise import give_advice
from toolkit.commands.train import train
from toolkit.config import (
    CacheConfig,
    Config,
    TransferConfig,
    dump_changes,
    dump_config,
    load_config,
    make_config,
    with_overrides,
)
from toolkit.core.errors import ConfigError, DataError
from toolkit.data import BatchLoader, Preprocessing
from toolkit.engine import RunFolder, build_job
from toolkit.engine.solvers.phase import settle_solver
from toolkit.transfer.presets import HEAD_FIRST
from toolkit.zoo import StagedNetwork, create_network

import paddle  # isort: skip

Make = Callable[..., Config]
EVIDENCE = ("batchnorm", "confidence", "depth", "knn", "probe", "logme")
NETWORK = "mobilenet_v1_x0_25"
REPO = Path(__file__).resolve().parents[2]
PAGE, CONFIGS = REPO / "docs" / "advisor.md", REPO / "configs"


def images_in(folder: Path, counts: dict[str, int], size: int = 40) -> Path:
    """Write noise, a folder for each class."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (size, size, 3), np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), pixels)
    return folder


def data_in(root: Path, format: str = "folder") -> dict[str, Any]:
    """The ``data`` section of a set of its own."""
    return {"format": format, "root": root, "classes": None, "samples_per_class": None}


def labels_of(number: int) -> str:
    """Two labels, both of which vary."""
    return f"{number % 2},{number % 3 and 1}"


def listed(folder: Path, lines: list[str], part: str = "train") -> Path:
    """Write noise and a list with these labels."""
    root = images_in(folder, {"images": len(lines)})
    rows = [f"images/{number}.png {line}" for number, line in enumerate(lines)]
    (root / f"{part}_list.txt").write_text("\n".join(rows), encoding="utf-8")
    return root


def test_advice_on_digits(measured_once: Make) -> None:
    config = measured_once()
    advice = advise(config)
    found = json.loads(json.dumps(advice.to_json()))
    assert found["size"] == "small"
    assert found["similarity"] in ("similar", "different")
    assert 0.25 <= found["confidence"] <= 1
    assert {piece["name"] for piece in found["evidence"]} == {*EVIDENCE}
    assert all(piece["source"] and len(piece["reference"]["similar"]) == 2 for piece in found["evidence"])
    assert found["data"]["images"] == found["sample"] == 36
    detail = {piece["name"]: piece["detail"] for piece in found["evidence"]}
    codes, own = advice.measured.codes, advice.measured.own
    assert detail["knn"] == {**codes.knn.model_dump(), "chance": codes.chance}
    assert detail["probe"] == {**codes.probe.model_dump(), "chance": codes.chance}
    assert detail["logme"] == codes.logme.model_dump()
    assert detail["confidence"] == {"entropy": own.entropy, "chance": 0.001}
    assert detail["depth"]["top"] == found["depth"][-1]["score"]
    assert detail["batchnorm"]["nearest_layer"] == min(found["statistics_by_layer"])
    shares = found["data"]["images_per_weight"]
    assert shares == {title: pytest.approx(36 / count) for title, count in found["trainable"].items()}
    assert len(found["depth"]) == len(advice.measured.stages)
    assert found["preset"]
    assert found["runner_up"]["preset"]
    assert (found["learning_rates"] is None) == (advice.plan.phases[-1].solver == "exact")
    assert len(found["why"]) == 3
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `--json` |"))
    assert set(re.findall(r"`(\w+)`", row)) <= found.keys()
    assert evidence_table(advice).row_count >= 6
    assert advice.config is not None
    job = build_job(advice.config)
    assert (job.plan.preset, job.plan.cut) == (found["preset"], advice.plan.cut)
    if found["learning_rates"]:
        assert job.plan.phases[-1].lr == pytest.approx(found["learning_rates"]["head"])
    assert settle_solver(job).plan.epochs == found["epochs"]


def test_options_that_paid_are_named_where_they_fit(measured_once: Make) -> None:
    config = measured_once()
    measured = advise(config).measured
    known = tuple(
        Regulariser(
            option=option, head_alone=head_alone, gain=gain, error=0.004, runs=20, least_images=9, most_images=most
        )
        for option, head_alone, gain, most in (
            ("train.tta=4", True, 0.012, 400),
            ("train.label_smoothing=0.1", True, 0.007, 400),
            ("train.l2_sp=0.01", True, 0.2, 1),  # tried on far fewer images
            ("train.mixup=0.2", False, 0.05, 400),
        )
    )

    seen = {"most_images": 400, "most_per_class": 100}

    def said(config: Config, preset: str) -> list[str]:
        found = BranchRule(preset=preset, losses={"linear_probe": 0.0, "all_stages": 0.0}, situations=3)
        rule = PresetRule(kind="branches", branches=dict.fromkeys(("rest", "unlike", "shallow"), found), **seen)
        thresholds = load_thresholds().model_copy(update={"rule": rule, "regularisers": known})
        notes = judge(request_of(config), measured, thresholds, config).notes
        return [note.split()[3] for note in notes if note.startswith("worth adding")]

    assert said(config, "linear_probe") == ["train.tta=4"]
    assert said(config, "all_stages") == ["train.mixup=0.2"]
    assert said(measured_once(train={"tta": 2}), "linear_probe") == []


def test_numbers_of_trained_weights_are_those_of_the_jobs(measured_once: Make) -> None:
    advice = advise(measured_once())
    for preset in ("linear_probe", "all_stages", advice.plan.preset):
        cut = advice.cut if advice.plan.preset == preset else None
        job = build_job(measured_once(transfer={"preset": preset, "cut": cut}))
        moving = sum(stage.parameters for stage in job.stages[job.plan.frozen :])
        assert advice.trained[preset] == moving + job.head_parameters


def test_a_second_advice_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = advise(make())
    monkeypatch.setattr("toolkit.advise.measure.activations", None)
    assert advise(make()).to_json() == first.to_json()
    assert advise(make(transfer={"preset": "all_stages"})).to_json() == first.to_json()
    for damage in (make(seed=1), make(data={"samples_per_class": 11})):
        with pytest.raises(TypeError):  # another sample, other images: measured again
            advise(damage)


def network_and_images(config: Config) -> tuple[StagedNetwork, BatchLoader]:
    request = request_of(config)
    network = create_network(NETWORK, None, pretrained=request.pretrained)
    return network, BatchLoader(request.images, request.preprocessing, batch_size=16, workers=0)


def test_statistics_of_the_source_images_are_no_distance(make: Make) -> None:
    """Images whose statistics the network keeps have the distance 0."""
    network, loader = network_and_images(make())
    options = {"title": "x", "statistics": 36, "engine": "dygraph", "device": "cpu"}
    before = activations(network, loader, **options)
    first = next(layer for layer in network.sublayers() if type(layer).__name__ == "BatchNorm2D")
    seen: list[np.ndarray] = []
    hook = first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].numpy()))
    after = activations(network, loader, **{**options, "statistics": 0})
    hook.remove()
    rows = np.concatenate(seen[1:]).transpose(1, 0, 2, 3).reshape(seen[0].shape[1], -1)  # the first is the blank image
    expected = layer_distance(rows.mean(axis=1), rows.var(axis=1), first._mean.numpy(), first._variance.numpy())
    assert before.distances[0] == pytest.approx(expected, rel=1e-3)
    assert after.distances == ()
    first._mean.set_value(rows.mean(axis=1).astype(np.float32))
    first._variance.set_value(rows.var(axis=1).astype(np.float32))
    assert activations(network, loader, **options).distances[0] == pytest.approx(0, abs=1e-4)


def test_stages_and_outputs_are_the_networks(make: Make) -> None:
    network, loader = network_and_images(make())
    found = activations(network, loader, title="x", statistics=8, engine="dygraph", device="cpu")
    x = paddle.to_tensor(loader.read(np.arange(3), 0))
    assert found.outputs[:3] == pytest.approx(network(x).numpy(), abs=1e-4)
    middle = network.pool(network.features(x, 4)).numpy()
    assert found.stages[3][:3] == pytest.approx(middle, abs=1e-4)
    assert found.seen == 8


def test_auto_trains_the_recommendation_and_remembers_why(make: Make) -> None:
    config = make(train={"epochs": 1}, export={"enabled": False, "report": True})
    outcome = train(config)
    folder = RunFolder(Path(outcome.json["run_dir"]))
    record = folder.read_record()
    assert record["advice"]["preset"] == record["plan"]["preset"] == outcome.json["advice"]["preset"]
    assert load_config(folder.config).transfer.preset == record["plan"]["preset"]
    assert record["plan"]["phases"][-1]["epochs"] == 1
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert 'id="advice"' in page
    assert record["advice"]["evidence"][0]["title"] in page


@pytest.mark.parametrize("own", [None, 3])
def test_an_advised_config_is_compared_as_one_by_hand(measured_once: Make, own: int | None, tmp_path: Path) -> None:
    config = measured_once(train={"epochs": own})
    measured, choice = advise(config).measured, Choice("most_stages")
    plan = _plan(choice, measured, TransferConfig(), config.train)
    (tmp_path / "recommended.yaml").write_text(dump_config(_config(config, choice, measured, plan)), encoding="utf-8")
    found = load_config(tmp_path / "recommended.yaml")
    made = build_job(found).plan
    assert [phase.epochs for phase in made.phases] == ([own] if own else [HEAD_FIRST, 25])
    assert [(phase.epochs, phase.frozen) for phase in made.phases] == [(p.epochs, p.frozen) for p in plan.phases]
    assert made.phases[-1].lr == pytest.approx(plan.phases[-1].lr)

    def epochs(config: Config) -> dict[str, list[int]]:
        candidates, _ = check_candidates(config, make_candidates(config, None))
        return {each.title: [phase.epochs for phase in each.plan.phases] for each in candidates if each.plan}

    by_hand = measured_once(transfer={"preset": "most_stages"}, train={"epochs": own})
    assert epochs(found) == epochs(by_hand)


def test_training_images_alone_are_looked_at_and_2000_at_most(make: Make) -> None:
    given, data = request_of(make()).images, build_job(make(transfer={"preset": "linear_probe"})).data
    assert [given.path(i) for i in range(len(given))] == [data.train.path(i) for i in range(len(data.train))]
    assert not {data.val.path(i) for i in range(len(data.val))} & {given.path(i) for i in range(len(given))}
    assert inspect.signature(measure).parameters["sample"].default == 2000
    rows = {line.split("|")[1].strip(): line for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line}
    for title, images in (
        ("distance of activation statistics", STATISTICS_IMAGES),
        ("gain of the upper half", DEPTH_IMAGES),
        ("nearest neighbours, gain over random", RANDOM_IMAGES),
    ):
        assert f"; {images} images" in rows[title]


def test_the_users_wishes_stay(measured_once: Make) -> None:
    advice = advise(
        measured_once(train={"epochs": 3, "lr": 0.02}, transfer={"preset": "auto", "compare": ("scratch",)})
    )
    assert advice.config is not None
    assert (advice.config.train.epochs, advice.config.train.lr) == (3, 0.02)
    assert advice.config.transfer.compare == ("scratch",)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ({"pooling": "gem"}, "model.pooling: gem reads one map"),
        ({"head": {"stages": "last"}}, "model.head.stages already sets what the head reads"),
    ],
)
def test_several_stages_are_not_advised_to_a_head_that_reads_one(
    measured_once: Make, model: dict[str, Any], why: str
) -> None:
    plain = measured_once()
    measured = advise(plain).measured
    assert judge(request_of(plain), measured, load_thresholds(), plain).choices[0].preset == "multi_stage_probe"
    config = with_overrides(plain, model=model)
    advice = judge(request_of(config), measured, load_thresholds(), config)
    assert "multi_stage_probe" not in {choice.preset for choice in advice.choices}
    assert f"multi_stage_probe is left out: {why}" in advice.notes
    assert build_job(advice.config).plan.preset == advice.choices[0].preset


@pytest.mark.parametrize(("preset", "head_first"), [("all_stages", None), ("all_stages", 5), ("linear_probe", None)])
def test_a_preset_that_moves_stages_is_not_solved(measured_once: Make, preset: str, head_first: int | None) -> None:
    config = measured_once(train={"solver": "exact"}, transfer={"preset": "auto", "head_first": head_first})
    measured = advise(config).measured
    found = BranchRule(preset=preset, losses={"linear_probe": 0.1, "all_stages": 0.1}, situations=3)
    branches = {"rest": found, "unlike": found}
    rule = PresetRule(kind="branches", branches=branches, most_images=400, most_per_class=100)
    advice = judge(request_of(config), measured, load_thresholds().model_copy(update={"rule": rule}), config)
    moved = preset == "all_stages" and head_first is None
    assert advice.plan.preset == preset
    assert advice.config.train.solver == ("sgd" if moved else "exact")
    assert any(note.startswith("train.solver: exact") for note in advice.notes) == moved
    made = build_job(advice.config).plan
    assert [phase.solver for phase in made.phases] == [phase.solver for phase in advice.plan.phases]


def test_one_class(make: Make, tmp_path: Path) -> None:
    console = Console(width=200)
    root = images_in(tmp_path / "one", {"only": 10})
    advice = advise(make(data=data_in(root)))
    assert advice.plan is None
    assert advice.config is None
    assert advice.to_json()["preset"] is None
    assert {"batchnorm", "confidence"} == {piece.name for piece in advice.evidence}
    assert "only one class" in advice.measured.missing["probe"]
    assert any("at least 2 classes" in note for note in advice.notes)
    assert "for 1 class:" in advice.why[0]
    with console.capture() as printed:
        console.print(*advice_text(advice))
    assert f"none yet; with images suitable for training it would be {advice.choices[0].preset}" in printed.get()
    assert "confidence in its own classes: entropy" in printed.get()
    with pytest.raises(ConfigError, match="cannot be used for training"):
        train(make(data=data_in(root)))


def test_two_images(make: Make, tmp_path: Path) -> None:
    root = images_in(tmp_path / "two", {"a": 1, "b": 1})
    advice = advise(make(data=data_in(root)))
    assert advice.plan is None
    assert advice.position.size == "small"
    assert "too few" in advice.measured.missing["depth"]
    assert any("cannot be used for training" in note for note in advice.notes)


def test_classes_with_one_image(make: Make, tmp_path: Path) -> None:
    root = images_in(tmp_path / "some", {"a": 8, "b": 8, "c": 2, "d": 2})  # one of c and of d is for validation
    advice = advise(make(data=data_in(root)))
    assert advice.plan is not None
    assert advice.measured.size.least == 1
    assert any("2 classes have one image" in note for note in advice.notes)
    assert advice.measured.depth.images == 14


def test_a_network_without_batchnorm(make: Make, tmp_path: Path) -> None:
    path = untrained_weights("squeezenet1_1", None, tmp_path)
    advice = advise(make(model={"name": "squeezenet1_1", "pretrained": str(path)}, data={"image_size": 64}))
    assert "no BatchNorm" in advice.measured.missing["batchnorm"]
    assert any("no BatchNorm" in note for note in advice.notes)
    assert len(advice.evidence) == 5


def test_gray_images_and_numbers(make: Make) -> None:
    gray = advise(make(model={"name": NETWORK, "pretrained": make().model.pretrained, "in_channels": 1}))
    assert len(gray.evidence) == 6
    numbers = advise(make(task="regression", data={"classes": None, "samples_per_class": None, "val_fraction": 0.9}))
    assert numbers.measured.size.classes == 1
    assert numbers.measured.depth.chance == 0
    assert numbers.plan is not None


def test_labels(make: Make, tmp_path: Path) -> None:
    alone, found = [labels_of(number) for number in range(24)], []
    for title, lines in (("two", alone), ("a third that all images have", [f"{line},1" for line in alone])):
        advice = advise(make(task="multilabel", data=data_in(listed(tmp_path / title, lines), "list")))
        assert advice.plan is not None
        found.append(advice.measured.codes)
    assert found[1].logme.pretrained == pytest.approx(found[0].logme.pretrained)


@pytest.mark.parametrize(
    ("task", "lines", "why"),
    [
        ("multilabel", ["1,0"] * 24, "all 24 images have the same labels"),
        ("regression", ["0.5"] * 24, "all 24 images have the same targets"),
        ("multilabel", [labels_of(number) for number in range(6)], "6 images are too few (expected 8 or more)"),
    ],
    ids=["labels", "targets", "few"],
)
def test_labels_that_say_nothing(make: Make, tmp_path: Path, task: str, lines: list[str], why: str) -> None:
    root = listed(tmp_path / "alike", lines)
    listed(root, lines[:2], "val")
    measured = measure(request_of(make(task=task, data=data_in(root, "list"))), cache=None)
    assert {measured.missing[name] for name in ("knn", "probe", "logme", "depth")} == {why}


def test_numbers_that_are_not_finite_are_missing_and_kept_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> Activations:
        found = activations(*args, **options)
        damaged = [np.full_like(codes, np.inf) for codes in (*found.stages, found.outputs)]
        return Activations(tuple(damaged[:-1]), damaged[-1], (np.nan,) * len(found.distances), found.seen)

    monkeypatch.setattr("toolkit.advise.measure.activations", broken)
    measured = advise(make()).measured
    assert set(measured.missing) == {*EVIDENCE}
    assert set(measured.missing.values()) == {"the network's outputs are not finite"}
    assert Measurement.model_validate_json(measured.model_dump_json()) == measured


def test_weights_with_other_classes(make: Make, tmp_path: Path) -> None:
    path = untrained_weights(NETWORK, 7, tmp_path)
    advice = advise(make(model={"name": NETWORK, "pretrained": str(path)}))
    assert "the original classifier" in advice.measured.missing["confidence"]


def test_images_without_labels(backbone: Path, tmp_path: Path) -> None:
    root = images_in(tmp_path / "photos", {"x": 5})
    (root / "broken.jpg").write_bytes(b"no image")
    outcome = give_advice(None, [str(root)], NETWORK, str(backbone), page=tmp_path / "page.html")
    assert outcome.json["similarity"] in ("similar", "different")
    assert outcome.json["preset"] is not None
    assert outcome.json["data"]["images"] == 5
    assert {piece["name"] for piece in outcome.json["evidence"]} == {"batchnorm", "confidence"}
    assert outcome.json["missing"]["probe"] == "the images have no labels"
    assert "data:image/svg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        give_advice(None, [str(tmp_path / "empty")], NETWORK, str(backbone))
    assert advise_images([root / "x" / "0.png"], NETWORK, backbone, cache=CacheConfig(dir=tmp_path / "c")).notes


def test_images_are_prepared_as_the_config_says(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, seen = images_in(tmp_path / "photos", {"x": 3}), []

    def remember(request: AdviceRequest, **options: Any) -> Measurement:
        seen.append(request)
        return measurement()

    monkeypatch.setattr("toolkit.advise.advisor.measure", remember)
    model = {"pretrained": make().model.pretrained, "in_channels": 1}
    data = {"image_size": 48, "crop_ratio": 0.5, "mean": (0.1,), "std": (0.2,)}
    config = make(model=model, data=data)
    give_advice(config, [str(root)])
    assert (seen[0].network, seen[0].pretrained) == (NETWORK, config.model.pretrained)
    assert seen[0].preprocessing == request_of(config).preprocessing == Preprocessing(48, 0.5, (0.1,), (0.2,))
    assert seen[0].in_channels == seen[0].images.channels == 1
    give_advice(config, [str(root)], "vgg11", "own.pdparams")
    assert (seen[1].network, seen[1].pretrained) == ("vgg11", "own.pdparams")
    run = SimpleNamespace(best=tmp_path / "best.pdparams")
    monkeypatch.setattr("toolkit.advise.request.train_source", lambda config, wanted: run)
    give_advice(make(model={"pretrained": {"config": "source.yaml"}}), [str(root)])
    assert seen[2].pretrained == run.best
    with pytest.raises(ConfigError, match=r"model\.pretrained is false"):
        give_advice(make(model={"pretrained": False}), [str(root)])


def test_one_piece_of_evidence_is_not_much(tmp_path: Path) -> None:
    weights, root = untrained_weights("squeezenet1_1", None, tmp_path), images_in(tmp_path / "photos", {"x": 2})
    cache = CacheConfig(dir=tmp_path / "cache")
    advice = advise_images([root / "x" / "0.png"], "squeezenet1_1", weights, image_size=64, cache=cache)
    assert [piece.name for piece in advice.evidence] == ["confidence"]
    assert (
        "confidence in its own classes is the only evidence of similarity, which is not enough to decide"
        in advice.notes
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"config": None}, "nothing to advise on"),
        ({"config": None, "images": ["x"]}, "needs a network"),
        ({"network": NETWORK}, "requires --images"),
        ({"images": ["x"], "output": Path("y")}, "have none"),
        ({"sample": 0}, "expected 1 or more"),
    ],
)
def test_wrong_arguments(make: Make, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        give_advice(**{"config": make(), **arguments})


@pytest.mark.parametrize("name", ["folder", "small_similar", "cub200", "unbalanced", "gpu_server"])
def test_a_recommended_config_is_short_and_means_the_same(
    make: Make, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = tmp_path / "long.yaml", tmp_path / "short.yaml"
    own = [f"data.root={tmp_path}", "data.classes=[no, 01]", "callbacks.early_stopping=true", "seed=3"]
    advice = advise(make())
    config = _config(load_config(CONFIGS / f"{name}.yaml", own), advice.choices[0], advice.measured, advice.plan)
    monkeypatch.setattr("toolkit.commands.advise.advise", lambda *_, **__: replace(advice, config=config))
    give_advice(make(), output=short)
    long.write_text(dump_config(config), encoding="utf-8")
    assert load_config(short) == load_config(long) == config
    lines = [line for line in short.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) <= 20
    assert f"preset: {config.transfer.preset}" in short.read_text(encoding="utf-8")


def test_the_config_for_a_folder_of_images_has_a_few_lines(tmp_path: Path) -> None:
    config = make_config({"name": "photos", "model": "mobilenet_v2", "data": {"root": tmp_path}, "train": {"lr": 1e-3}})
    assert dump_changes(config).splitlines() == [
        "name: photos",
        "model: {name: mobilenet_v2}",
        f"data: {{root: {tmp_path}}}",
        "transfer: {preset: all_stages}",
        "train: {lr: 0.001}",
    ]


def test_no_advice_without_pretrained_weights(make: Make) -> None:
    with pytest.raises(ConfigError, match="pretrained"):
        advise(make(model={"name": NETWORK, "pretrained": False}))


def test_a_config_and_a_page_are_written(make: Make, tmp_path: Path) -> None:
    output, page = tmp_path / "new" / "recommended.yaml", tmp_path / "new" / "advice.html"
    outcome = give_advice(make(name="<b>digits"), output=output, page=page)
    config = load_config(output)
    assert config.transfer.preset == outcome.json["preset"]
    assert settle_solver(build_job(config)).plan.epochs == outcome.json["epochs"]
    written = output.read_text(encoding="utf-8")
    for words in ("# network: ", "# data: ", f"# preset: {config.transfer.preset} (", "# epochs: ", "# There are "):
        assert written.count(f"\n{words}") == 1
    comments = [line for line in written.splitlines() if line.startswith("#")]
    assert max(map(len, comments)) <= 120
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/svg+xml") == 2
    assert "counting most" not in text
    assert f"entropy {shown(outcome.json['evidence'][1]['detail']['entropy'])}" in text
    assert "On data sets held out of the calibration" in text
    assert "ImageNet: " not in text  # a preset's own cell, which need not be that of the data
    assert "&lt;b&gt;digits" in text
    assert "<b>digits" not in text
    assert "http" not in text.replace("http://www.w3.org", "")
