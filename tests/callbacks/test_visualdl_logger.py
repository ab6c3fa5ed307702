"""The VisualDL record, read back with VisualDL."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from visualdl import LogReader
from visualdl.server import lib

from toolkit.callbacks import VisualDLLogger, stage_graph
from toolkit.core.errors import ConfigError, ToolkitError
from toolkit.core.stages import StageInfo

RECORD = "vdlrecords.run.log"


def hyper_parameter_page(folder: Path) -> dict[str, dict[str, Any]]:
    """What the dashboard shows, run -> row; VisualDL keeps one store a process, so rows of other tests are left out."""
    rows = lib.get_hparam_list(LogReader(logdir=str(folder)))
    return {row["name"][len(str(folder)) :].strip("/"): row for row in rows if row["name"].startswith(str(folder))}


def test_scalars(tmp_path: Path, run: Any, read_record: Any) -> None:
    logger = VisualDLLogger(tmp_path, every=2)
    logger.set_groups({"head": 1.0, "layer4": 0.1, "stem": 0.0})
    run([logger], [{"loss": 0.5, "top1": 0.7, "macro_f1": 0.6, "acc": 0.7}, 0.4])
    assert read_record(tmp_path / RECORD) == {
        "train/loss": [(1, 1.0), (3, 0.333333), (5, 0.5)],
        "train/top1": [(1, 0.5), (3, 0.5), (5, 0.5)],
        "lr/head": [(1, 1.0), (3, 1.0), (5, 1.0)],
        "lr/layer4": [(1, 0.1), (3, 0.1), (5, 0.1)],
        "val/loss": [(1, 0.5), (2, 0.4)],
        "val/top1": [(1, 0.7), (2, 0.5)],
        "val/macro_f1": [(1, 0.6)],
    }


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path, run: Any, read_record: Any) -> None:
    losses = [0.9, 0.8, 0.7, 0.6]
    run([VisualDLLogger(tmp_path / "whole", every=1)], losses)
    first = VisualDLLogger(tmp_path / "parts", every=1)
    run([first], losses[:2])
    state = first.state_dict()
    first.on_train_batch_end(0, {"loss": 77.0})  # a step after the checkpoint, lost when the run died
    first.close()
    second = VisualDLLogger(tmp_path / "parts", every=1)
    second.set_state_dict(state)
    run([second], losses, first=2)
    second.close()
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [RECORD]
    assert read_record(tmp_path / "parts" / RECORD) == read_record(tmp_path / "whole" / RECORD)
    assert len(read_record(tmp_path / "parts" / RECORD)["train/loss"]) == 12


def test_a_second_writer_with_the_same_name_appends(tmp_path: Path, read_record: Any) -> None:
    """What continuing a record relies on."""
    from visualdl import LogWriter

    for step in (1, 2):
        with LogWriter(logdir=str(tmp_path), file_name=RECORD) as writer:
            writer.add_scalar("a", float(step), step)
    assert read_record(tmp_path / RECORD) == {"a": [(1, 1.0), (2, 2.0)]}
    assert len(LogReader(logdir=str(tmp_path)).logs()) == 1


def test_a_new_training_sets_an_old_record_aside(tmp_path: Path, run: Any, read_record: Any) -> None:
    for _ in range(3):
        run([VisualDLLogger(tmp_path, every=1)], [0.5])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier.1.log", "earlier.2.log", RECORD]
    assert len(read_record(tmp_path / RECORD)["train/loss"]) == 3
    assert list(LogReader(logdir=str(tmp_path)).logs().values()) == [RECORD]


def test_hyper_parameters_with_the_final_metrics_are_on_their_page(tmp_path: Path, run: Any) -> None:
    for name, top1 in (("a", 0.8), ("b", 0.9)):
        logger = VisualDLLogger(tmp_path / name)
        run([logger], [0.5, 0.4])
        parameters = {"lr": 0.1, "epochs": 2, "preset": name, "flip": True, "sizes": (3, 4), "cut": None}
        logger.hparams(parameters, {"top1": top1, "loss": 0.4, "top5": None})
        logger.close()
    rows = hyper_parameter_page(tmp_path)
    assert sorted(rows) == ["a", "b"]
    assert rows["a"]["hparams"] == {"lr": 0.1, "epochs": 2, "preset": "a", "flip": "True", "sizes": "(3, 4)"}
    assert rows["a"]["metrics"] == {"hparam/top1": pytest.approx(0.8), "hparam/loss": pytest.approx(0.4)}
    assert rows["b"]["metrics"]["hparam/top1"] == pytest.approx(0.9)


def test_hyper_parameters_of_a_resumed_run_show_the_latest_metric(tmp_path: Path, run: Any) -> None:
    logger = VisualDLLogger(tmp_path)
    run([logger], [0.5])
    state = logger.state_dict()
    logger.hparams({"lr": 0.1}, {"top1": 0.5})
    logger.close()
    again = VisualDLLogger(tmp_path)
    again.set_state_dict(state)
    run([again], [0.5, 0.4], first=1)
    again.close()
    again.hparams({"lr": 0.1}, {"top1": 0.6})
    again.close()
    (row,) = hyper_parameter_page(tmp_path).values()
    assert row["metrics"] == {"hparam/top1": pytest.approx(0.6)}


@pytest.mark.parametrize(("count", "shape"), [(1, (4, 6)), (3, (8, 12)), (5, (8, 18)), (16, (16, 24))])
def test_images_as_one_grid(tmp_path: Path, count: int, shape: tuple[int, int], run: Any) -> None:
    images = np.stack([np.full((4, 6, 3), 10 + i, np.uint8) for i in range(count)])
    logger = VisualDLLogger(tmp_path)
    logger.add_images(images)
    run([logger], [])
    logger.close()
    (record,) = LogReader(file_path=str(tmp_path / RECORD)).get_data("image", "train images")
    shown = np.asarray(Image.open(io.BytesIO(record.image.encoded_image_string)))
    assert shown.shape[:2] == shape
    columns = shape[1] // 6
    corners = shown[::4, ::6, 0].reshape(-1)
    assert corners.tolist() == [10 + i for i in range(count)] + [0] * (columns * (shape[0] // 4) - count)
    assert images[0].max() == 10


def test_images_before_the_training_belong_to_it(tmp_path: Path, run: Any) -> None:
    logger = VisualDLLogger(tmp_path)
    logger.add_images(np.zeros((2, 4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    run([logger], [0.5])
    logger.close()
    reader = LogReader(file_path=str(tmp_path / RECORD))
    assert set(reader.get_tags()) >= {"image", "scalar"}


@pytest.mark.parametrize("early", [True, False], ids=["before the state", "after the state"])
def test_a_resumed_run_has_its_images_already(tmp_path: Path, run: Any, read_record: Any, early: bool) -> None:
    images = np.full((2, 4, 4, 3), 9, np.uint8)
    first = VisualDLLogger(tmp_path, every=1)
    first.add_images(images)
    run([first], [0.5])
    state = first.state_dict()
    first.close()
    second = VisualDLLogger(tmp_path, every=1)
    if early:
        second.add_images(images)
    second.set_state_dict(state)
    if not early:
        second.add_images(images)
    run([second], [0.5, 0.4], first=1)
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    assert read_record(tmp_path / RECORD)["val/loss"] == [(1, 0.5), (2, 0.4)]
    assert len(LogReader(file_path=str(tmp_path / RECORD)).get_data("image", "train images")) == 1


def test_images_of_a_later_epoch_are_written_at_once(tmp_path: Path, run: Any) -> None:
    logger = VisualDLLogger(tmp_path)
    run([logger], [0.5])
    logger.add_images(np.full((1, 4, 4, 3), 9, np.uint8), "mistakes", 1)
    logger.close()
    assert len(LogReader(file_path=str(tmp_path / RECORD)).get_data("image", "mistakes")) == 1


def test_other_processes_write_nothing(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_TRAINER_ID", "1")
    logger = VisualDLLogger(tmp_path / "vdl")
    run([logger], [0.5])
    logger.add_images(np.zeros((1, 4, 4, 3), np.uint8))
    logger.hparams({"lr": 0.1}, {"top1": 0.5})
    assert not (tmp_path / "vdl").exists()


def test_stdout_stays_clean_and_threads_end(tmp_path: Path, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    for _ in range(2):
        logger = VisualDLLogger(tmp_path)
        run([logger], [0.5])
        logger.close()
        logger.hparams({"a": 1}, {"top1": 1.0})
        logger.close()
    assert capsys.readouterr().out == ""
    assert threading.active_count() == before


def test_without_visualdl(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "visualdl", None)
    with pytest.raises(ConfigError, match="VisualDL is not installed"):
        run([VisualDLLogger(tmp_path)], [0.5])


def test_a_folder_that_cannot_be_written(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("visualdl.LogWriter", refuse)
    with pytest.raises(ToolkitError, match=r"cannot write .*Permission denied"):
        run([VisualDLLogger(tmp_path)], [0.5])


def histograms(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (epoch, number of values)."""
    reader = LogReader(file_path=str(folder / RECORD))
    return {
        tag: [(item.id, sum(item.histogram.hist)) for item in reader.get_data("histogram", tag)]
        for tag in reader.get_tags().get("histogram", [])
    }


def test_histograms_of_what_moves_every_so_many_epochs(tmp_path: Path, run: Any, make_model: Any) -> None:
    model = make_model()
    model.network.bias.stop_gradient = True
    logger = VisualDLLogger(tmp_path, histograms=2)
    wanted = []

    def gradients(position: int, model: Any) -> None:
        epoch, batch = divmod(position, 4)
        if batch and logger.wants_gradients(batch - 1):
            wanted.append((epoch + 1, batch))
            logger.add_gradients({"weight": np.arange(6.0), "bias": np.array([np.nan, 1.0])})

    run([logger], [0.5] * 5, model, watch=gradients)
    logger.close()
    assert wanted == [(2, 3), (4, 3)]  # the last of three steps
    assert histograms(tmp_path) == {
        "weights/weight": [(2, 4), (4, 4)],
        "gradients/weight": [(2, 6), (4, 6)],
        "gradients/bias": [(2, 1), (4, 1)],
    }
    assert not logger.wants_gradients(2)


def test_gradients_are_only_kept_for_histograms(tmp_path: Path, run: Any) -> None:
    logger = VisualDLLogger(tmp_path)
    wanted = []
    run([logger], [0.5], watch=lambda position, model: wanted.append(logger.wants_gradients(position - 1)))
    logger.close()
    assert not any(wanted)
    assert histograms(tmp_path) == {}


def test_histograms_of_damaged_constant_and_large_arrays(tmp_path: Path) -> None:
    logger = VisualDLLogger(tmp_path)
    logger.on_train_begin()
    logger.add_gradients(
        {
            "nan": np.full(3, np.nan, "float32"),
            "infinite": np.array([1.0, np.inf, 2.0]),
            "constant": np.zeros((2, 2), "float16"),
            "large": np.ones(1_000_000, "float32"),
        }
    )
    logger.close()
    assert histograms(tmp_path) == {
        "gradients/infinite": [(1, 2)],
        "gradients/constant": [(1, 4)],
        "gradients/large": [(1, 100_000)],
    }


def test_titled_images_keep_their_titles_in_any_script(tmp_path: Path) -> None:
    logger = VisualDLLogger(tmp_path)
    logger.on_train_begin()
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (1, 90)])
    logger.add_titled_images(images, ["鸟 taken for 猫", "50% / half taken for " + "x" * 200], "mistakes", 3)
    logger.close()
    reader = LogReader(file_path=str(tmp_path / RECORD))
    first, second = (tag.replace("%", "/") for tag in reader.get_tags()["image"])
    assert first == "mistakes/01 鸟 taken for 猫"
    assert second.startswith("mistakes/02 50_ _ half taken for xxx")
    assert len(second) < 130
    (item,) = reader.get_data("image", first)
    assert item.id == 3
    assert np.asarray(Image.open(io.BytesIO(item.image.encoded_image_string))).max() == 0  # nearly black is not white


def test_embeddings_with_their_labels(tmp_path: Path) -> None:
    logger = VisualDLLogger(tmp_path)
    logger.on_train_begin()
    features = np.array([[0, 0, 7], [3, 0, 7], [0, 4, 7]], "float32")
    logger.add_embeddings(features, {"label": ["鸟", "a\tb", "c"], "predicted": ["鸟", "c", "c"]})
    logger.close()
    (item,) = LogReader(file_path=str(tmp_path / RECORD)).get_data("embeddings", "features")
    points = np.array([list(one.vectors) for one in item.embeddings.embeddings])
    assert points.shape == (3, 2)
    distances = [np.linalg.norm(points[i] - points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert distances == pytest.approx([3, 4, 5])
    assert [list(one.label) for one in item.embeddings.embeddings] == [["鸟", "鸟"], ["a b", "c"], ["c", "c"]]
    assert list(item.embeddings.label_meta) == ["label", "predicted"]


def test_the_graph_is_one_that_visualdl_can_show(tmp_path: Path, run: Any) -> None:
    from visualdl.reader.graph_reader import GraphReader

    stages = [StageInfo("stem", (8, 4, 4), 216), StageInfo("layer/1", (16, 2, 2), 3000)]
    logger = VisualDLLogger(tmp_path)
    logger.add_graph(stage_graph(stages, (3, 8, 8), "linear head", 5, 85, frozen=1))
    assert list(tmp_path.iterdir()) == []
    run([logger], [])
    logger.close()
    reader = GraphReader(str(tmp_path))
    (name,) = reader.runs()
    assert len(LogReader(logdir=str(tmp_path)).logs()) == 1
    reader.get_graph(name, refresh=True)
    boxes = {node["name"]: node for node in json.loads((tmp_path / "vdlgraph.run.log").read_text())["nodes"]}
    assert list(boxes) == ["/", "/image", "/stem", "/layer_1", "/head"]
    assert boxes["/stem"]["attrs"]["in this run"] == "frozen"
    assert boxes["/layer_1"]["attrs"] == {
        "kind": "stage", "output shape": "16 x 2 x 2", "weights": "3,000", "in this run": "trained"
    }  # fmt: skip
    assert (boxes["/stem"]["output_nodes"], boxes["/head"]["input_nodes"]) == (["/layer_1"], ["/layer_1"])


@pytest.mark.parametrize("batches", range(1, 12))
def test_a_record_that_is_resumed_within_an_epoch_is_unbroken(
    batches: int, tmp_path: Path, run: Any, read_record: Any
) -> None:
    """As after a kill: points were written after the state that is restored."""
    losses = [0.9, 0.8, 0.7]
    run([VisualDLLogger(tmp_path / "whole", every=2)], losses)
    state: dict[str, Any] = {}
    first = VisualDLLogger(tmp_path / "parts", every=2)

    def keep(position: int, model: Any) -> None:
        if position == batches:
            state.update(first.state_dict())

    run([first], losses, watch=keep)
    first.close()
    second = VisualDLLogger(tmp_path / "parts", every=2)
    second.set_state_dict(state)
    run([second], losses, first=batches // 4, done=batches % 4)
    second.close()
    assert read_record(tmp_path / "parts" / RECORD) == read_record(tmp_path / "whole" / RECORD)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [RECORD]
