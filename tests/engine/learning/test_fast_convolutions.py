"""``train.fast_convolutions``: the same training, or a clear message where it is impossible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paddle
import pytest

import toolkit.engine.learning.fast_convolutions as module
from toolkit.config import Config, TrainConfig, make_config
from toolkit.core.errors import ConfigError
from toolkit.engine import RunFolder, Trainer
from toolkit.engine.learning.fast_convolutions import check_convolutions, fast_layers
from toolkit.kernels import is_installed, kernels_problem, layer
from toolkit.zoo import StagedNetwork, create_network, write_weights

Make = Callable[..., Config]
needs_numba = pytest.mark.skipif(not is_installed(), reason="numba is not installed: kernels are NOT tested")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(layer, "find_spec", lambda name: None)
    kernels_problem.cache_clear()
    yield
    kernels_problem.cache_clear()


@pytest.fixture(autouse=True)
def _says_it_again() -> None:
    module._once.cache_clear()


@pytest.fixture(scope="module")
def mobile() -> StagedNetwork:
    return create_network("mobilenet_v2", 3, image_size=32)


@pytest.fixture(scope="module", params=["mobilenet_v2", "resnet18"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with matching statistics: if BatchNorm learns its own, rounding errors grow with each step."""
    paddle.seed(7)
    network = create_network(request.param, 5, image_size=64)
    network.train()
    with paddle.no_grad():
        for _ in range(25):
            network(paddle.randn([4, 3, 64, 64]))
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.pdparams"
    write_weights(network.state_dict(), path)
    return path


def trained(make: Make, weights: Path, fast: Any, name: str) -> list[dict[str, Any]]:
    """Training and validation metrics of each epoch of a small job."""
    config = make(
        name=name,
        model={"name": weights.stem, "pretrained": str(weights)},
        transfer={"preset": "all_stages"},
        train={"epochs": 2, "lr": 0.02, "optimizer": "momentum", "fast_convolutions": fast},
    )
    folder = Trainer.from_config(config).fit().folder
    return [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]


@needs_numba
def test_training_is_the_same_but_for_rounding(make: Make, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = trained(make, weights, False, "plain")
    assert "kernels" not in capsys.readouterr().err
    fast, again = trained(make, weights, True, "fast"), trained(make, weights, "auto", "again")
    assert capsys.readouterr().err.count("numba kernels compute convolutions") == 1
    for one, other, third in zip(plain, fast, again, strict=True):
        for part in ("train", "val"):
            assert other[part]["loss"] == pytest.approx(one[part]["loss"], rel=1e-4)
            assert other[part] == third[part]  # to the bit


@needs_numba
def test_auto_leaves_networks_with_few_layers_alone(mobile: StagedNetwork) -> None:
    wanted, auto = TrainConfig(fast_convolutions=True), TrainConfig()
    assert len(fast_layers(mobile, auto)) == 17
    seen = set()
    for start in range(len(mobile.stage_names)):
        with mobile.starting_at(start):
            layers = fast_layers(mobile, wanted)
            assert fast_layers(mobile, auto) == (layers if len(layers) >= 4 else [])
            seen.add(len(layers))
    assert {3, 4} <= seen
    assert fast_layers(mobile, TrainConfig(fast_convolutions=False)) == []


def test_a_gpu_does_not_use_them(mobile: StagedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    assert fast_layers(mobile, TrainConfig()) == []
    check_convolutions(TrainConfig())
    with pytest.raises(ConfigError, match="needs a CPU, but this run uses gpu:0"):
        check_convolutions(TrainConfig(fast_convolutions=True))


@pytest.mark.usefixtures("without_numba")
def test_auto_without_numba_is_paddle(mobile: StagedNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    check_convolutions(TrainConfig())
    assert fast_layers(mobile, TrainConfig()) == []
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("without_numba")
def test_true_without_numba_is_refused_before_anything_is_written(make: Make) -> None:
    config = make(train={"fast_convolutions": True})
    with pytest.raises(ConfigError, match="numba is not installed") as caught:
        Trainer.from_config(config).fit()
    assert '".[fast]"' in str(caught.value.hint)
    assert not config.output_dir.exists()


def test_a_broken_numba_is_reported_once(
    mobile: StagedNetwork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.setattr(layer, "find_spec", lambda name: True)
    monkeypatch.setattr(layer, "import_module", broken)
    kernels_problem.cache_clear()
    try:
        assert fast_layers(mobile, TrainConfig()) == []
        assert fast_layers(mobile, TrainConfig()) == []
        said = " ".join(capsys.readouterr().err.split())
        assert said.count("Paddle computes convolutions: numba does not work here: Numba needs NumPy 2.4 or less") == 1
        with pytest.raises(ConfigError, match="does not work here"):
            check_convolutions(TrainConfig(fast_convolutions=True))
    finally:
        kernels_problem.cache_clear()


def test_a_run_may_be_resumed_with_another_choice(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(make())
    RunFolder.open(folder.path, make(train={"fast_convolutions": False})).adopt(
        make(train={"fast_convolutions": False})
    )
    assert "train.fast_convolutions: auto, not False" in capsys.readouterr().err


def test_values() -> None:
    assert make_config({"name": "a", "model": "resnet18"}).train.fast_convolutions == "auto"
    with pytest.raises(ConfigError, match="fast_convolutions"):
        make_config({"name": "a", "model": "resnet18", "train": {"fast_convolutions": "numba"}})
