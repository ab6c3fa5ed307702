"""``toolkit.FineTuner``: fine-tuning without YAML, and results that show themselves."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from sklearn.datasets import load_digits

import toolkit as ft
from tests.jobs import untrained_weights
from toolkit.core.errors import ConfigError, DataError, Interrupted

pytest.importorskip("pandas")
NETWORK = "mobilenet_v1_x0_25"


@pytest.fixture(scope="module")
def tuner(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ft.FineTuner]:
    """``tuner(...)`` fine-tunes an untrained network on 60 digits."""
    folder = tmp_path_factory.mktemp("tuner")
    weights = untrained_weights(NETWORK, 5, folder)
    digits = load_digits()
    few = np.flatnonzero(digits.target < 3)[:60]
    data = ft.Data.from_arrays(digits.images[few] / 16, digits.target[few], classes=["zero", "one", "two"], name="few")

    def make(plan: str = "linear_probe", **options: Any) -> ft.FineTuner:
        options = {"weights": weights, "image_size": 32, "epochs": 2, "output_dir": folder / "runs", **options}
        return ft.FineTuner(NETWORK, data, plan, device="cpu", visualdl=False, **options)

    return make


@pytest.fixture(scope="module")
def result(tuner: Callable[..., ft.FineTuner]) -> ft.FineTuned:
    return tuner().fit()


def test_what_a_result_shows(result: ft.FineTuned) -> None:
    assert list(result.history.index) == [1, 2]
    assert {"train_loss", "val_loss", "val_top1"} <= set(result.history.columns)
    matrix = result.confusion()
    assert matrix.to_numpy().sum() == len(result.job.data.val)
    assert np.trace(matrix.to_numpy()) / matrix.to_numpy().sum() == pytest.approx(result.metrics["top1"])
    wrong = len(result.job.data.val) - np.trace(matrix.to_numpy())
    assert len(result.mistakes(100).frame) == wrong
    html = result._repr_html_()
    assert html.count("<img") >= 2
    assert "zero" in html
    assert result.job.data.classes == ("zero", "one", "two")
    assert f"{result.metrics['top1']:.4g}" in repr(result)


def test_earlier_names_of_plans(tuner: Callable[..., ft.FineTuner]) -> None:
    assert "plan='linear_probe'" in repr(tuner("small_similar"))
    assert tuner("small_different/finetune_most").config.transfer.preset == "most_stages"
    assert tuner("small_different", variant="finetune_most").config.transfer.preset == "most_stages"
    with pytest.raises(ConfigError, match="variant belongs to preset small_different"):
        tuner("all_stages", variant="finetune_most")


def test_predictions(result: ft.FineTuned) -> None:
    predict, images = result.predictor(), result.job.data.val
    files = [images.path(i) for i in range(len(images))]
    assert predict(files[0]).label == predict.predict(files[0])[0].label
    assert [found.label for found in predict(files[:2])] == [found.label for found in predict.predict(files[:2])]
    frame = predict.frame(files)
    right = np.mean([name == images_class for name, images_class in zip(frame["label"], _truth(result), strict=True)])
    assert right == pytest.approx(result.metrics["top1"])
    array = (images.read(0), images.read(1))
    assert [found.label for found in predict(list(array))] == [found.label for found in predict(files[:2])]


def _truth(result: ft.FineTuned) -> list[str]:
    return [result.job.data.classes[label] for label in result.job.data.val.labels]


def test_the_command_knows_the_run(result: ft.FineTuned) -> None:
    again = ft.load_config(result.folder.config)
    assert again.data.root == result.job.config.data.root
    assert again.data.root is not None
    assert again.data.root.is_dir()


def test_changes_by_hand_and_callbacks(tuner: Callable[..., ft.FineTuner]) -> None:
    seen: list[int] = []

    class Counter(paddle.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(epoch)

    job = tuner("all_stages", epochs=1)
    job.freeze(5)
    assert isinstance(job.model, paddle.Model)
    assert "no" in repr(job.plan)
    job.fit(callbacks=[Counter()])
    assert seen == [0]
    assert all(parameter.stop_gradient for parameter in next(job.network.children()).parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "did you mean epochs"),
        ({"enabled": True}, "option of several sections"),
        ({"epochs": "many"}, "train.epochs"),
        ({"train": {"epoch": 1}}, "train.epoch"),
    ],
)
def test_options_that_do_not_exist(tuner: Callable[..., ft.FineTuner], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tuner(**options)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_what_is_not_data_or_a_callback(tuner: Callable[..., ft.FineTuner]) -> None:
    with pytest.raises(ConfigError, match="data is str"):
        ft.FineTuner(NETWORK, "photos")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="object is not a Paddle callback"):
        tuner().fit(callbacks=[object()])  # type: ignore[list-item]


def test_a_changed_copy(tuner: Callable[..., ft.FineTuner]) -> None:
    changed = tuner().with_options(epochs=7, train={"lr": 0.5})
    assert (changed.config.train.epochs, changed.config.train.lr) == (7, 0.5)


def test_an_assignment_says_how_to_change_an_option(tuner: Callable[..., ft.FineTuner]) -> None:
    mine = tuner()
    with pytest.raises(ConfigError, match=r"frozen.*tuner.with_options\(epochs=...\)"):
        mine.config.train.epochs = 3  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"tuner.with_options\(epochs=...\)"):
        mine.epochs = 3
    with pytest.raises(ConfigError, match=r"tuner.with_options\(plan=...\)"):
        mine.plan = "finetune"  # type: ignore[misc, assignment]
    assert mine.config.train.epochs == 2


def test_a_second_fit_says_that_it_continues(
    tuner: Callable[..., ft.FineTuner], capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tuner("scratch", weights=False, epochs=1)
    first = mine.fit()
    assert "continues" not in capsys.readouterr().err
    second = mine.fit()
    assert "fit continues from the weights of the last fit" in capsys.readouterr().err
    assert second.folder.path != first.folder.path
    afresh = mine.with_options().fit()
    assert "continues" not in capsys.readouterr().err
    assert afresh.metrics == first.metrics


def test_one_callback_and_one_preset_need_no_list(tuner: Callable[..., ft.FineTuner]) -> None:
    seen: list[int] = []

    class Counter(paddle.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(epoch)

    mine = tuner("scratch", weights=False, epochs=1)
    result = mine.fit(callbacks=Counter())
    assert seen == [0]
    found = tuner(weights=result, epochs=1).compare("linear_probe", seeds=1)
    assert "linear_probe" in repr(found)
    html = found._repr_html_()
    assert html.count("<img") == 2
    assert "usual_recipe" in html


def test_advice_shows_itself(tuner: Callable[..., ft.FineTuner]) -> None:
    advice = tuner().advise()
    assert repr(advice).startswith("Advice for few: ")
    assert len(repr(advice)) < 120
    html = advice._repr_html_()  # type: ignore[attr-defined]
    assert "YOUR DATA" in html
    assert "recommendation" in html


def test_an_interrupted_fit_can_be_continued_here(tuner: Callable[..., ft.FineTuner]) -> None:
    class Press(paddle.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                signal.raise_signal(signal.SIGINT)

    mine = tuner("scratch", weights=False, name="pressed")
    with pytest.raises(Interrupted, match=r'fit\(resume="auto"\)'):
        mine.fit(callbacks=[Press()])
    assert len(mine.fit(resume="auto").history) == 2


def test_data_is_named_shortly(tuner: Callable[..., ft.FineTuner]) -> None:
    assert repr(tuner().data) == "Data('few', classification, format csv)"


def test_a_result_is_evaluated_and_exported_from_python(result: ft.FineTuned, tmp_path: Path) -> None:
    own = result.evaluate()
    assert own["top1"] == pytest.approx(result.metrics["top1"])
    assert (own["split"], own["images"]) == ("val", len(result.job.data.val))
    shift = result.evaluate(shift=(4,))["shift"]
    assert (shift["clean"], shift["severities"]) == (own["top1"], [4])
    digits = load_digits()
    others = np.flatnonzero(digits.target < 3)[60:90]
    unseen = ft.Data.from_arrays(digits.images[others] / 16, digits.target[others], classes=["zero", "one", "two"])
    found = result.evaluate(unseen)
    assert found["images"] == len(others)
    predicted = result.predictor()([unseen_pixels(digits.images[index]) for index in others])
    truth = [["zero", "one", "two"][digits.target[index]] for index in others]
    right = [one.label[0] == name for one, name in zip(predicted, truth, strict=True)]
    assert found["top1"] == pytest.approx(np.mean(right))
    folder = result.export(tmp_path / "served")
    assert (folder / "inference.yml").is_file()
    with pytest.raises(DataError, match="nowhere does not exist"):
        result.evaluate(tmp_path / "nowhere")


def unseen_pixels(image: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(image / 16 * 255).astype(np.uint8)[..., None], 3, axis=2)
