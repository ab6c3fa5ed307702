"""From maps to features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError, WeightsError
from toolkit.zoo import create_network, load_weights, write_weights
from toolkit.zoo.pooling import GeMPool

NAME = "mobilenet_v1_x0_25"


@pytest.fixture
def maps() -> paddle.Tensor:
    return paddle.nn.functional.relu(paddle.randn([2, 5, 4, 3]))


def test_gem_is_equation_3(maps: paddle.Tensor) -> None:
    expected = (np.maximum(maps.numpy(), 1e-6).astype("float64") ** 3).mean((2, 3)) ** (1 / 3)
    np.testing.assert_allclose(GeMPool()(maps).numpy(), expected, rtol=1e-5)


def test_gem_is_the_average_at_1_and_near_the_maximum_at_100(maps: paddle.Tensor) -> None:
    np.testing.assert_allclose(GeMPool(1.0)(maps).numpy(), maps.mean([2, 3]).numpy(), rtol=1e-4)
    np.testing.assert_allclose(GeMPool(100.0)(maps).numpy(), maps.max([2, 3]).numpy(), rtol=0.05)


@pytest.mark.parametrize("power", [-5.0, 0.0, 1.0, 3.0, 500.0])
@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-12, 1.0, 1e18])
def test_gem_and_its_gradients_are_finite(maps: paddle.Tensor, power: float, scale: float) -> None:
    x = (maps * scale).detach()
    x.stop_gradient = False
    pool = GeMPool(power)
    y = pool(x)
    y.sum().backward()
    assert all(np.isfinite(value.numpy()).all() for value in (y, x.grad, pool.p.grad))


def test_gems_gradients_are_those_of_the_equation(maps: paddle.Tensor) -> None:
    x = (maps + 0.1).detach()
    gradients = []
    for stable in (True, False):
        pool = GeMPool(2.5)
        y = pool(x) if stable else (x**pool.p).mean([2, 3]) ** (1 / pool.p)
        y.sum().backward()
        gradients.append(pool.p.grad.item())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4)


def test_gems_power_belongs_to_the_head_and_learns() -> None:
    network = create_network(NAME, 3, pooling="gem", head=HeadConfig(type="mlp", hidden=(8,)))
    power = network.head_parameters()["fc.pooling.p"]
    assert power.numpy().tolist() == [3.0]
    assert "fc.pooling.p" in network.state_dict()
    network.freeze("all")
    optimizer = paddle.optimizer.SGD(10.0, parameters=network.parameters())
    with network.starting_at(len(network.stage_names)):
        outputs = network(paddle.rand([4, 256, 2, 2]))
    paddle.nn.functional.cross_entropy(outputs, paddle.to_tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    assert power.item() != 3.0


def test_gem_is_new_with_the_head_and_kept_with_a_run(tmp_path: Path) -> None:
    trained = create_network(NAME, 3, pooling="gem")
    trained.head_parameters()["fc.pooling.p"].set_value(np.array([4.5], "float32"))
    write_weights(trained.state_dict(), tmp_path / "best.pdparams")
    again = create_network(NAME, 3, pooling="gem")
    load_weights(again, tmp_path / "best.pdparams")
    assert again.head_parameters()["fc.pooling.p"].item() == 4.5
    new = create_network(NAME, 3, pooling="gem", pretrained=tmp_path / "best.pdparams")
    assert new.head_parameters()["fc.pooling.p"].item() == 3.0
    create_network(NAME, 3, pretrained=tmp_path / "best.pdparams")


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(type="mlp", hidden=(8,))])
def test_a_runs_gem_is_not_dropped_in_silence(tmp_path: Path, head: HeadConfig) -> None:
    write_weights(create_network(NAME, 3, pooling="gem", head=head).state_dict(), tmp_path / "best.pdparams")
    with pytest.raises(WeightsError, match=r"1 not expected \(fc\.pooling\.p\)") as caught:
        load_weights(create_network(NAME, 3, head=head), tmp_path / "best.pdparams")
    assert "pooling" in str(caught.value.hint)


@pytest.mark.parametrize("pooling", ["avg", "max", "gem", "none"])
def test_pool_gives_what_the_head_reads(pooling: str) -> None:
    network = create_network(NAME, 3, pooling=pooling, image_size=64)
    network.eval()
    x = paddle.randn([2, 3, 64, 64])
    k = len(network.stage_names)
    z = network.features(x, k)
    pooled = network.pool(z)
    assert pooled.shape == [2, 256 * 4 if pooling == "none" else 256]
    assert network.pooling == pooling
    assert network.pool_is_fixed == (pooling in ("avg", "max"))
    expected = network(x).numpy()
    with network.starting_at(k):
        np.testing.assert_array_equal(network(z).numpy(), expected)
        np.testing.assert_array_equal(network(pooled).numpy(), expected)


def test_max_is_the_maximum() -> None:
    network = create_network(NAME, 3, pooling="max")
    z = paddle.randn([2, 256, 3, 3])
    np.testing.assert_array_equal(network.pool(z).numpy(), z.numpy().max((2, 3)))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "lenet"])
@pytest.mark.parametrize("pooling", ["max", "gem", "none"])
def test_features_that_are_no_map_stay(name: str, pooling: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = create_network(name, 3, pooling=pooling)
    assert (network.pooling, network.pool_is_fixed) == ("avg", True)
    assert set(network.head_parameters()) == {f"{network.spec.head}.weight", f"{network.spec.head}.bias"}
    z = paddle.randn([2, network.spec.width])
    assert network.pool(z) is z
    assert "has no effect" in capsys.readouterr().err


def test_a_cut_below_them_gives_a_map() -> None:
    network = create_network("mobilenet_v3_small", 3, pooling="gem", cut="lastconv")
    assert not network.pool_is_fixed
    assert network(paddle.randn([2, 3, 32, 32])).shape == [2, 3]


def test_no_pooling_needs_the_image_size() -> None:
    with pytest.raises(NetworkError, match="needs the size of the images") as caught:
        create_network(NAME, 3, pooling="none")
    assert "image_size" in str(caught.value.hint)


def test_no_pooling_refuses_images_of_another_size() -> None:
    network = create_network(NAME, 3, pooling="none", image_size=64)
    with pytest.raises(NetworkError, match=r"created for maps of \(256, 2, 2\), from images of 64 pixels") as caught:
        network(paddle.randn([2, 3, 96, 96]))
    assert "64 pixels" in str(caught.value.hint)


def test_no_pooling_reads_every_position() -> None:
    network = create_network(NAME, 3, pooling="none", image_size=96, cut="conv4_2", in_channels=2)
    width = math.prod(network.describe(96)[-1].shape)
    assert list(network.head_parameters()["fc.weight"].shape) == [width, 3]


def test_another_pooling_needs_a_new_head() -> None:
    with pytest.raises(NetworkError, match="number of classes"):
        create_network(NAME, pooling="gem")
