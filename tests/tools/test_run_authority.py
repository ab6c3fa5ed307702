"""A run defines its network: classes, preprocessing and data come from it and are compared with what is given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.table import Table

from tests.jobs import untrained_weights
from toolkit.commands.runs import evaluate, export, find_run, report
from toolkit.config import load_config
from toolkit.core.console import command
from toolkit.core.errors import ConfigError, DataError, TrainingError, WeightsError
from toolkit.deploy import Manifest, Predictor
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.runs.model_facts import stored_facts
from toolkit.engine.runs.trained import load_trained
from toolkit.tasks import TASKS
from toolkit.zoo import read_weights

COLOURS = {"blue": 2, "green": 1, "red": 0}
CONFIG = """
output_dir: runs
model: {name: squeezenet1_1, pretrained: weights/squeezenet1_1.pdparams}
data: {root: data, image_size: 64, workers: 1}
transfer: {preset: linear_probe}
train: {epochs: 25, lr: 0.03, device: cpu}
cache: {dir: cache, engine: dygraph}
log: {visualdl: false}
export: {enabled: false, report: false}
"""


def make_images(root: Path, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for name, channel in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 60, (70, 80, 3), np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(root / name / f"{number}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config and a run of it; ``place`` copies it."""
    folder = tmp_path_factory.mktemp("authority")
    for part, count in (("train", 8), ("val", 4)):
        make_images(folder / "data" / part, count, len(part))
    (folder / "weights").mkdir()
    untrained_weights("squeezenet1_1", None, folder / "weights")
    (folder / "job.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = Trainer.from_config(load_config("job.yaml")).fit()
    assert result.best["top1"] == 1.0
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """The working folder of a test: the run in ``runs/job``, its images in ``data``."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "runs" / "job" / "run.json"
    record.write_text(record.read_text().replace(str(trained), str(tmp_path)))
    return record.parent


def rename(*parts: str) -> None:
    """Rename blue, so that it sorts last."""
    for part in parts:
        Path("data", part, "blue").rename(Path("data", part, "z_blue"))


def top1(run: Path, *overrides: str, data: str | None = None) -> tuple[float, int]:
    found = evaluate(find_run(run, None, overrides), None if data is None else Path(data)).json
    return found["top1"], found["images"]


def test_an_export_takes_classes_and_pixels_from_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rename("train", "val")
    folder = Path(export(find_run(None, place / "config.yaml")).json["inference"])
    assert Manifest.read(folder).labels == ("blue", "green", "red")
    predictor = Predictor(folder)
    for name in COLOURS:
        files = sorted(Path("data/val").glob(f"*{name}/*.png"))
        assert [found.label[0] for found in predictor.predict(files)] == [name] * 4
    shutil.rmtree("data")
    export(find_run(place, None), Path("again"))
    assert "random images" in capsys.readouterr().err
    assert Manifest.read(Path("again")).labels == ("blue", "green", "red")


@pytest.mark.parametrize(
    "override",
    [
        "data.classes=[red,green,blue]",
        "data.image_size=96",
        "data.crop_ratio=1.0",
        "model.name=resnet18",
        "task=multilabel",
    ],
)
def test_a_network_other_than_the_runs_is_refused(place: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="was trained with"):
        export(find_run(place, None, [override]))
    if "classes" not in override:
        with pytest.raises(ConfigError, match="was trained with"):
            evaluate(find_run(place, None, [override]))


def test_an_evaluation_finds_classes_by_their_names(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert top1(place) == (1.0, 12)
    assert top1(place, "data.classes=[red,green,blue]") == (1.0, 12)
    shutil.rmtree("data/val/green")
    assert top1(place) == (1.0, 8)
    assert "images of 2 of 3 classes: blue, red" in capsys.readouterr().err
    rename("train", "val")
    with pytest.raises(DataError, match=r"does not know: 'z_blue'; it knows 'blue', 'green', 'red'"):
        top1(place)
    assert top1(place, "data.classes=[red,green]")[1] == 4


def test_a_config_of_another_place_names_the_run(place: Path) -> None:
    Path("other.yaml").write_text("name: job\noutput_dir: runs\nmodel: resnet50\ndata: {root: data}\n")
    with pytest.raises(ConfigError, match=r"another model.name, not resnet50"):
        evaluate(find_run(None, Path("other.yaml")))
    Path("plain.yaml").write_text("name: job\noutput_dir: runs\nmodel: squeezenet1_1\ndata: {root: data}\n")
    found, expected = (evaluate(each).json for each in (find_run(None, Path("plain.yaml")), find_run(place, None)))
    assert found["loss"] == expected["loss"]  # at the 64 px of the run
    with pytest.raises(TrainingError, match="train first"):
        find_run(None, Path("plain.yaml"), ["name=never"])
    with pytest.raises(ConfigError, match="no run here"):
        find_run(Path("nowhere"), None)
    with pytest.raises(ConfigError, match="both a run"):
        find_run(place, Path("plain.yaml"))


def test_a_labelled_set_is_evaluated_whole(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_images(Path("new"), 5, seed=3)
    make_images(Path("tested/test_set"), 5, seed=3)
    assert top1(place, data="new") == top1(place, data="tested") == (1.0, 15)
    make_images(Path("tested/train_set"), 1, seed=4)
    shutil.copytree("new/red", "single/red")
    assert top1(place, data="single") == (1.0, 5)
    assert top1(place, "data.root=new") == top1(place, data="tested") == (1.0, 15)
    Path("new/z_yellow").mkdir()
    Image.new("RGB", (70, 70), (255, 255, 0)).save("new/z_yellow/0.png")
    with pytest.raises(DataError, match="does not know: 'z_yellow'"):
        top1(place, data="new")
    assert top1(place, "data.classes=[blue,red]", data="new") == (1.0, 10)
    Path("some.csv").write_text("path,label\nnew/red/0.png,red\nnew/blue/0.png,blue\n")
    Path("new/some.txt").write_text("red/0.png 2\ngreen/1.png 1\n")
    assert top1(place, data="some.csv") == top1(place, data="new/some.txt") == (1.0, 2)
    assert "0 = blue, 1 = green, 2 = red" in capsys.readouterr().err
    Path("new/many.txt").write_text("red/0.png 3\n")
    with pytest.raises(DataError, match="labels up to 3, but the network knows 3 classes"):
        top1(place, data="new/many.txt")
    with pytest.raises(DataError, match="does not exist"):
        top1(place, data="gone")


def test_views_of_the_config_are_the_default(place: Path) -> None:
    given = find_run(place, None, ["train.tta=3"])
    assert evaluate(given).json["views"] == 3
    assert "views" not in evaluate(given, tta=1).json
    assert Manifest.read(Path(export(given).json["inference"])).tta == 3


def test_moved_images_are_recognised(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").rename("moved")
    assert top1(place, "data.root=moved") == (1.0, 12)
    assert "warning" not in capsys.readouterr().err


def test_an_evaluation_on_other_images_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/val/red/0.png").unlink()
    assert top1(place) == (1.0, 11)
    assert "not the images that the run was evaluated on" in capsys.readouterr().err


def state_of(folder: Path) -> dict[str, Any]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def unfinished(run: Path) -> Any:
    """The run's config with one more epoch to train."""
    return load_config(run / "config.yaml", ["train.epochs=26"])


def added() -> None:
    shutil.copy("data/train/red/0.png", "data/train/red/more.png")


def changed() -> None:
    Image.new("RGB", (99, 99), (255, 0, 0)).save("data/val/red/0.png")


def swapped() -> None:
    Path("data/train/red/0.png").rename("data/train/red/other.png")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: rename("train", "val"), "of 3 classes, blue gone and z_blue new"),
        (lambda: shutil.copytree("data/train/red", "data/train/yellow"), "of 3 classes, yellow new"),
        (lambda: [shutil.rmtree(f"data/{part}/blue") for part in ("train", "val")], "of 3 classes, blue gone"),
        (added, r"train red 8 -> 9"),
        (changed, "other files, sizes or labels in val"),
        (swapped, "other files, sizes or labels in train"),
    ],
)
def test_a_run_does_not_resume_with_other_data(place: Path, change: Callable[[], Any], words: str) -> None:
    change()
    before = state_of(place)
    with pytest.raises(DataError, match=words):
        Trainer.from_config(unfinished(place)).fit(resume=place)
    assert state_of(place) == before


def test_a_run_resumes_with_moved_images(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = json.loads((place / "run.json").read_text())["started"]
    shutil.copytree("data", "moved", copy_function=shutil.copy)  # with new times
    config = load_config(place / "config.yaml", ["train.epochs=26", "data.root=moved"])
    assert Trainer.from_config(config).fit(resume=place).last["epoch"] == 26
    assert "names and labels are the same" in capsys.readouterr().err
    record = json.loads((place / "run.json").read_text())
    assert record["started"] == began
    assert [item["after_epoch"] for item in record["resumed"]] == [25]


def test_a_finished_run_is_not_touched(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state_of(place)
    config = load_config(place / "config.yaml", ["callbacks.early_stopping.patience=3"])
    trainer = Trainer.from_config(config)
    result = trainer.fit(resume=place)
    assert "is finished: nothing to train" in capsys.readouterr().err
    assert state_of(place) == before
    known = json.loads((place / "run.json").read_text())["result"]
    assert result.to_json() == {**known, "run_dir": str(place)}
    assert load_trained(RunFolder(place)).evaluate(trainer.job.data.val)["top1"] == 1.0


def test_damaged_weights_are_refused(place: Path) -> None:
    best = RunFolder(place).best
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    best.write_bytes(content)
    for work in (evaluate, export):
        with pytest.raises(TrainingError, match="is damaged"):
            work(find_run(place, None))


def test_damaged_weights_cannot_start_another_run(place: Path) -> None:
    best = RunFolder(place).best
    config = load_config("job.yaml", ["name=next", f"model.pretrained={best}"])
    assert build_job(config).weights == str(best)
    content = best.read_bytes()
    weight = max(read_weights(best).values(), key=lambda array: array.nbytes).tobytes()
    where = content.index(weight)
    best.write_bytes(content[:where] + bytes(len(weight)) + content[where + len(weight) :])  # zeros instead of numbers
    with pytest.raises(WeightsError, match="is damaged: it is not the file that the training wrote"):
        build_job(config)
    RunFolder(place).best_digest.write_text('{"of": "somebody else"}')
    assert read_weights(best).keys() == read_weights(shutil.copy(best, "copy.pdparams")).keys()


def test_facts_outlive_the_record(place: Path) -> None:
    folder = RunFolder(place)
    facts = stored_facts(folder)
    folder.record.write_text("{")
    assert stored_facts(folder) == facts
    digest = json.loads(folder.best_digest.read_text())
    folder.best_digest.write_text(json.dumps({"sha256": digest["sha256"]}))
    with pytest.raises(TrainingError, match="does not list its network"):
        stored_facts(folder)


def test_runs_of_earlier_versions_know_their_classes(place: Path) -> None:
    folder = RunFolder(place)
    facts = stored_facts(folder)
    record = folder.read_record()
    del record["model"]
    folder.record.write_text(json.dumps(record))
    folder.best_digest.unlink()
    assert stored_facts(folder) == facts


def test_any_run_with_a_best_epoch_gets_a_report(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place.parent.parent)
    run = place.rename(place.with_name("my run"))
    found = report(find_run(run, None)).json
    page = Path(found["report"]).read_text(encoding="utf-8")
    best = json.loads((run / "run.json").read_text())["result"]["best"]["epoch"]
    assert f"epoch {best} of " in page
    assert "was stopped" not in page

    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "finished": None, "result": None}))
    page = Path(report(find_run(run / "config.yaml", None)).json["report"]).read_text(encoding="utf-8")
    assert f"epoch {best} of " in page
    assert "Training was stopped" in page
    assert RunFolder(run).use_commands.count(f"'{run}'") == 2, "both commands can be copied"

    Path("data").rename("elsewhere")
    with pytest.raises(DataError, match="the run's own images") as caught:
        report(find_run(run, None))
    assert command("report", run, "-o", "data.root=FOLDER") in str(caught.value.hint)
    assert report(find_run(run, None, ["data.root=elsewhere"])).json["report"]
    next(Path("elsewhere/val/red").glob("*.png")).unlink()
    with pytest.raises(DataError, match="the data are not those that"):
        report(find_run(run, None, ["data.root=elsewhere"]))
    with pytest.raises(ConfigError, match="was trained with"):
        report(find_run(run, None, ["data.image_size=32"]))
    (run / "checkpoints" / "best.pdparams").unlink()
    with pytest.raises(TrainingError, match=r"has no checkpoints/best.pdparams"):
        report(find_run(run, None))


def test_top5_is_not_shown_of_three_classes(place: Path) -> None:
    found = evaluate(find_run(place, None))
    assert "top5" in found.json
    table, _ = found.text
    assert isinstance(table, Table)
    assert list(table.columns[0].cells) == ["top-1", "macro-F1", "loss"]
    assert [metric.name for metric in TASKS["classification"].shown(6)] == ["top1", "top5", "macro_f1", "loss"]


def test_what_is_recognised_in_a_table_is_reported_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tables").mkdir()
    table = Path("tables/new.csv")
    table.write_text("".join(f"val/{name}/0.png,{name}\n" for name in sorted(COLOURS)))
    assert top1(place, data=str(table)) == (1.0, 3)  # the images are below the run's data.root
    assert capsys.readouterr().err.count("has no header") == 1
    table.write_text("val/red/nothing.png,red\nval/red/none.png,red\n")
    with pytest.raises(DataError, match="none of its"):
        top1(place, data=str(table))
    assert capsys.readouterr().err.count("has no header") == 1
