"""Export: what is written, what it computes, and what it does not touch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
import yaml
from paddle import nn

from tests.odd_networks import Deadly, Wrong
from toolkit.core.errors import DeployError
from toolkit.data import Preprocessing
from toolkit.deploy import Manifest, Predictor, check_export
from toolkit.zoo import create_network

CLASSES = ["5", "red-eyed vireo 鸟", "no", "[bold]: a, b"]


def softmax_of(network: nn.Layer, images: np.ndarray) -> np.ndarray:
    network.eval()
    with paddle.no_grad():
        return nn.functional.softmax(network(paddle.to_tensor(images)), axis=-1).numpy()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_manifest_is_complete(shared_export: Path) -> None:
    model = "inference.json" if paddle.__version__.startswith("3") else "inference.pdmodel"
    assert {model, "inference.pdiparams", "inference.yml"} <= {path.name for path in shared_export.iterdir()}
    text = (shared_export / "inference.yml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert values["labels"] == CLASSES
    assert "鸟" in text
    assert values["network"] == "small"
    assert values["image_size"] == 32
    assert values["preprocessing"].items() >= Preprocessing(32, 1.0).to_dict().items()
    assert values["input"]["name"] == "image"
    assert values["versions"]["paddle"] == paddle.__version__
    assert values["files"]["model"]["name"] == model


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_batch_size_gives_the_networks_probabilities(shared_export, new_network, images, count) -> None:
    expected = softmax_of(new_network(), images[:count])
    found = Predictor(shared_export).outputs(images[:count], batch_size=4)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert found.std() > 0.01, "all images have the same outputs, so this test proves nothing"


def test_a_training_network_exports_its_evaluation_behaviour(tmp_path, new_network, export, images) -> None:
    network = new_network()
    network.train()
    network.body[1].eval()  # some layers may be frozen
    modes = [layer.training for layer in network.sublayers(include_self=True)]
    folder = export(tmp_path / "model", network)
    assert [layer.training for layer in network.sublayers(include_self=True)] == modes
    assert len(set(modes)) == 2
    np.testing.assert_allclose(Predictor(folder).outputs(images), softmax_of(network, images), atol=1e-6)


def test_the_network_is_unchanged_and_can_be_trained_further(tmp_path, new_network, export, images) -> None:
    network = new_network()
    network.train()
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    export(tmp_path / "model", network)
    for name, layer in network.named_sublayers(include_self=True):
        assert "forward" not in layer.__dict__, name
        assert not layer._original_funcs, name
        assert type(layer).forward is layer.forward.__func__
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key], err_msg=key)
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    loss = nn.functional.cross_entropy(network(paddle.to_tensor(images)), paddle.to_tensor([0, 1, 2, 3, 0]))
    loss.backward()
    optimizer.step()
    assert not np.array_equal(network.fc.weight.numpy(), state["fc.weight"])
    assert not np.array_equal(network.body[1]._mean.numpy(), state["body.1._mean"])


def test_exporting_does_not_advance_the_random_generator(tmp_path, new_network, export) -> None:
    network = new_network()
    paddle.seed(7)
    expected = paddle.rand([4]).numpy()
    paddle.seed(7)
    export(tmp_path / "model", network)
    np.testing.assert_array_equal(paddle.rand([4]).numpy(), expected)


@pytest.mark.usefixtures("engines_in_process")
def test_a_network_of_the_zoo_keeps_its_frozen_stages_in_evaluation_mode(tmp_path, export) -> None:
    paddle.seed(0)
    network = create_network("mobilenet_v1_x0_25", 4, image_size=32)
    network.freeze(3)
    network.train()
    modes = [layer.training for layer in network.sublayers(include_self=True)]
    images = np.random.default_rng(0).normal(size=(9, 3, 32, 32)).astype("float32")
    folder = export(tmp_path / "model", network, network_name="mobilenet_v1_x0_25", check=images)
    assert [layer.training for layer in network.sublayers(include_self=True)] == modes
    assert len(set(modes)) == 2
    assert all("forward" not in layer.__dict__ for layer in network.sublayers(include_self=True))
    extra = Manifest.read(folder).extra
    assert extra["checked_images"] == 9
    assert 0 <= extra["largest_difference"] < 1e-4


def test_check_export_returns_the_largest_difference(shared_export, new_network, images) -> None:
    network = new_network()
    network.train()
    assert check_export(shared_export, network, images) < 1e-6
    assert network.training
    assert network.drop.training


def test_check_export_notices_another_network(shared_export, new_network, images) -> None:
    with pytest.raises(DeployError, match="is not the trained network"):
        check_export(shared_export, new_network(seed=1), images)


def test_check_export_requires_images(shared_export, new_network, images) -> None:
    with pytest.raises(DeployError, match="without images"):
        check_export(shared_export, new_network(), images[:0])


def test_a_new_export_replaces_the_old_one(tmp_path, new_network, export, images) -> None:
    folder = export(tmp_path / "model")
    (folder / "inference.onnx").write_text("of the old network")
    (folder / "NOTES.md").write_text("mine")
    (folder / "more").mkdir()
    (folder / "more" / "x.txt").write_text("mine too")
    second = new_network(seed=1)
    export(folder, second)
    assert check_export(folder, second, images) < 1e-6
    assert not (folder / "inference.onnx").exists()
    assert (folder / "NOTES.md").read_text() == "mine"
    assert (folder / "more" / "x.txt").read_text() == "mine too"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_link_to_a_folder_is_followed(tmp_path, export) -> None:
    real = export(tmp_path / "real")
    before = (real / "inference.yml").read_bytes()
    (tmp_path / "link").symlink_to(real)
    export(tmp_path / "link", extra={"name": "second"})
    assert (tmp_path / "link").is_symlink()
    assert (real / "inference.yml").read_bytes() != before


@pytest.mark.usefixtures("engines_in_process")
def test_a_failed_export_keeps_the_old_one(tmp_path, new_network, export, images) -> None:
    folder = export(tmp_path / "model")
    before = snapshot(folder)
    broken = new_network()
    broken.fc.bias.set_value(np.full(4, np.nan, "float32"))
    with pytest.raises(DeployError, match="differ by nan"):
        export(folder, broken, check=images)
    with pytest.raises(DeployError, match="3 class names"):
        export(folder, classes=("a", "b", "c"))
    with pytest.raises(DeployError, match="64 px"):
        export(folder, preprocessing=Preprocessing(64).to_dict())
    assert snapshot(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


UNTRACEABLE = """
import sys
import toolkit, numpy, paddle
from toolkit.data import Preprocessing
from toolkit.deploy import export_model

class Untraceable(paddle.nn.Layer):
    "Uses numpy, which a static graph cannot."

    def __init__(self):
        super().__init__()
        self.fc = paddle.nn.Linear(3, 3)

    def forward(self, x):
        return self.fc(paddle.to_tensor(numpy.cumsum(x.mean(axis=[2, 3]), dtype="float32")))

export_model(Untraceable(), sys.argv[1], classes=("a", "b", "c"), preprocessing=Preprocessing(32).to_dict(),
             network_name="small", image_size=32)
"""


def test_what_cannot_be_traced_is_a_clear_error(tmp_path: Path, shared_export: Path) -> None:
    """In another process: Paddle's tracer may crash one that has traced many networks."""
    folder = shutil.copytree(shared_export, tmp_path / "model")
    done = subprocess.run([sys.executable, "-c", UNTRACEABLE, folder], capture_output=True, text=True)
    assert "DeployError: Paddle cannot export this network" in done.stderr, done.stderr
    assert snapshot(folder) == snapshot(shared_export)


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path, export: Callable[..., Path]) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("...")
    with pytest.raises(DeployError, match="the folder holds something other than an exported model"):
        export(tmp_path / "thesis")
    with pytest.raises(DeployError, match="it is a file"):
        export(tmp_path / "thesis" / "chapter1.tex")
    assert snapshot(tmp_path / "thesis") == {"chapter1.tex": b"..."}
    (tmp_path / "empty").mkdir()
    assert (export(tmp_path / "empty") / "inference.yml").is_file()


def test_a_full_disk_is_noticed_before_writing(tmp_path, export, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DeployError, match="1 MB are needed but only 0 MB are free"):
        export(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_exported_folder_can_be_read_by_others(tmp_path: Path, export: Callable[..., Path]) -> None:
    (tmp_path / "plain").mkdir()
    assert export(tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("kind", "width", "checked"), [(Wrong, 6144, True), (Wrong, 6144, False), (Deadly, 64, True)])
def test_onednn_is_off_for_a_model_that_it_computes_wrongly_or_crashes_on(
    kind: type[nn.Layer],
    width: int,
    checked: bool,
    tmp_path: Path,
    export: Callable[..., Path],
    images: np.ndarray,
    capsys,
) -> None:
    paddle.seed(0)
    network = nn.Sequential(kind(), nn.Flatten(), nn.Linear(width, 4))
    network.eval()
    folder = export(tmp_path / "model", network, check=images if checked else None)
    said = capsys.readouterr().err
    manifest = Manifest.read(folder)
    if paddle.__version__ == "3.3.1":
        assert not manifest.onednn
        assert "Paddle Inference with oneDNN" in manifest.onednn_note
        assert "config.disable_onednn()" in manifest.onednn_note
        assert said.count("the model is for Paddle Inference without oneDNN, as inference.yml says") == 1
    expected = nn.functional.softmax(network(paddle.to_tensor(images))).numpy()
    np.testing.assert_allclose(Predictor(folder).outputs(images), expected, atol=1e-4)
