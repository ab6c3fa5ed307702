"""Training on kept features is the same training: losses and predictions beside those of the uncached run.

The engine ``dygraph`` computes features with the very kernels of training: nothing may differ. Paddle Inference and
ONNX Runtime round differently (1e-6 of the largest feature). How far training carries that on is the network's affair:
BatchNorm over a few small maps multiplies it in each step, and so does a large learning rate. The rate here is one at
which training is smooth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.nn import functional
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.engine.run_helpers import Run, train_and_predict
from tests.jobs import use_thin_resnet18
from toolkit.engine.features.loaders import FeatureLoader
from toolkit.inference import onnx_is_installed
from toolkit.zoo import create_network, write_weights

MID = {"squeezenet1_1": "_conv5", "mobilenet_v2": "features.16", "resnet18": "layer3.0"}
"""Networks without BatchNorm, with depthwise convolutions, and with residual blocks; and a cut in each one's middle."""
CUTS = [(network, cut) for network, mid in MID.items() for cut in ("all", mid)]
onnx = pytest.param("onnx", marks=pytest.mark.skipif(not onnx_is_installed(), reason="no ONNX"))


Train = Callable[..., Run]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Cuttings of scikit-learn's two photographs."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), load_sample_images().images, strict=True):
        for split in ("train", "val"):
            (root / split / name).mkdir(parents=True)
            for number in range(15):
                side = int(rng.integers(100, 300))
                top, left = (int(rng.integers(0, length - side)) for length in photo.shape[:2])
                square = Image.fromarray(photo[top : top + side, left : left + side]).resize((72, 72))
                square.save(root / split / name / f"{number:02d}.png")
    return {"root": str(root), "batch_size": 15}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, Any], assets_folder: Path) -> Train:
    """``train(network, cut, cache={...})``, here or in another process; the same job is trained once."""
    folder, done = tmp_path_factory.mktemp("equality"), dict[str, Run]()

    def run(network: str, cut: str, cache: dict[str, Any], process: Executor | None = None, **job: Any) -> Run:
        values = {
            "name": "job",
            "output_dir": folder / "runs",
            "model": {"name": network, "pretrained": str(starting_weights(network, assets_folder, folder))},
            "data": {"image_size": 64, "workers": 1, "augment": "none", **job.get("data", photos)},
            "transfer": {"preset": "custom", "freeze": cut, "backbone_lr": 0.1},
            # Paddle's own convolutions on both sides: kernels are for networks with enough layers.
            "train": {
                "epochs": job.get("epochs", 2),
                "lr": job.get("lr", 3e-4),
                "device": "cpu",
                "fast_convolutions": False,
            },
            "cache": {"dir": folder / "cache", **cache},
            "callbacks": {"checkpoint": {"monitor": "val/loss"}},  # outputs are the best epoch's; accuracies tie
            "log": {"visualdl": False},
            "export": {"enabled": False},
        }
        key = json.dumps(values, default=str)
        if key not in done:
            done[key] = process.submit(train_and_predict, values).result() if process else train_and_predict(values)
        return done[key]

    return run


def starting_weights(network: str, assets: Path, folder: Path) -> Path:
    """Real ones where they are at hand, else random ones."""
    real = sorted((assets / "weights").glob(f"{network}*.pdparams"))
    path = real[0] if real else folder / f"{network}.pdparams"
    if not path.exists():
        paddle.seed(7)
        made = create_network(network, 5)
        for layer in made.sublayers():
            if isinstance(layer, paddle.nn.BatchNorm2D):
                layer._momentum = (
                    0.5  # nothing of the first variance, 1, is left: it makes features of all images alike
                )
        with paddle.no_grad():
            for _ in range(20):  # statistics that fit smooth pictures, so that features have a size as real ones have
                made(functional.interpolate(2 * paddle.randn([8, 3, 6, 6]), [64, 64], mode="bilinear"))
        write_weights(made.state_dict(), path)
    return path


def assert_same(found: Run, expected: Run, rtol: float) -> None:
    """Losses of every epoch, and predictions."""
    assert np.ptp(expected.train) > 100 * rtol * expected.train[0], "training changed too little to tell"
    np.testing.assert_allclose(found.train, expected.train, rtol=rtol)
    np.testing.assert_allclose(found.val, expected.val, rtol=rtol)
    np.testing.assert_allclose(found.outputs, expected.outputs, rtol=300 * rtol, atol=300 * rtol)
    assert (found.outputs.argmax(1) != expected.outputs.argmax(1)).sum() <= len(expected.outputs) // 300  # near ties


@pytest.mark.parametrize(("network", "cut"), CUTS)
def test_the_same_kernels_give_the_same_numbers(train: Train, network: str, cut: str) -> None:
    cached = train(network, cut, {"enabled": True, "engine": "dygraph", "dtype": "float32"})
    assert_same(cached, train(network, cut, {"enabled": False}), rtol=1e-6)


@pytest.mark.parametrize("engine", ["paddle", onnx])
@pytest.mark.parametrize(("network", "cut"), CUTS)
def test_float32_features_give_the_same_losses(train: Train, network: str, cut: str, engine: str) -> None:
    cached = train(network, cut, {"enabled": True, "engine": engine, "dtype": "float32"})
    assert_same(cached, train(network, cut, {"enabled": False}), rtol=1e-4)


@pytest.mark.parametrize(("network", "cut"), CUTS)
def test_float16_features_give_the_same_accuracy(train: Train, network: str, cut: str) -> None:
    cached = train(network, cut, {"enabled": True, "engine": "paddle", "dtype": "float16"})
    uncached = train(network, cut, {"enabled": False})
    np.testing.assert_allclose(cached.train, uncached.train, rtol=1e-2)
    assert abs(cached.top1[-1] - uncached.top1[-1]) * len(uncached.outputs) <= 1.01


def test_features_of_other_images_would_be_noticed(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FeatureLoader.__iter__

    def shifted(self: FeatureLoader) -> Any:
        for batch in whole(self):
            yield type(batch)(np.roll(batch.inputs, 1, axis=0), batch.labels, batch.indices)

    monkeypatch.setattr(FeatureLoader, "__iter__", shifted)
    cached = train("squeezenet1_1", "all", {"enabled": True, "engine": "dygraph", "dtype": "float32", "max_size": None})
    with pytest.raises(AssertionError):
        assert_same(cached, train("squeezenet1_1", "all", {"enabled": False}), rtol=1e-4)


@pytest.fixture(scope="module")
def flowers(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """100 real photographs to train on, and 300 others."""
    root = tmp_path_factory.mktemp("flowers")
    for split, count in (("train", 20), ("val", 60)):
        for source in sorted((assets / "datasets" / "flower_photos" / split).iterdir()):
            folder = root / split / source.name
            folder.mkdir(parents=True)
            for file in sorted(source.iterdir())[:count]:
                (folder / file.name).symlink_to(file)
    return {"root": str(root), "batch_size": 20}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[Executor]:
    """A process that computes with one thread: with several, equal runs round otherwise, and 20 epochs carry it on."""
    with ProcessPoolExecutor(1, get_context("spawn"), use_thin_resnet18) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            process.submit(int).result()  # it has begun, with this variable
        yield process


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("engine", ["paddle", onnx])
@pytest.mark.parametrize(("network", "cut"), CUTS)
def test_twenty_epochs_and_three_hundred_images(
    train: Train, flowers: dict[str, Any], one_thread: Executor, network: str, cut: str, engine: str, dtype: str
) -> None:
    job: dict[str, Any] = {"data": flowers, "epochs": 20, "lr": 1e-4, "process": one_thread}
    uncached = train(network, cut, {"enabled": False}, **job)
    cached = train(network, cut, {"enabled": True, "engine": engine, "dtype": dtype}, **job)
    assert len(uncached.outputs) == 300
    if dtype == "float32":
        assert_same(cached, uncached, rtol=1e-4)
    assert np.abs(cached.top1 - uncached.top1).max() * 300 <= 1.01
