"""Images with channels other than red, green and blue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.core.errors import NetworkError, WeightsError
from toolkit.zoo import create_network, get_spec, list_networks, load_weights, read_weights, stage, write_weights
from toolkit.zoo.input_layer import adapt_filters, adapt_input

NAME = "mobilenet_v1_x0_25"
INPUT = "conv1.0.weight"
ROWS = [name for name in list_networks() if get_spec(name).library == "paddle" and "0_25" in name]
ROWS += ["resnet18", "squeezenet1_1", "googlenet", "inception_v3", "densenet121", "alexnet", "mobilenet_v3_small"]


def test_gray_filters_are_the_sum() -> None:
    filters = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(adapt_filters(filters, 1), filters.sum(1, keepdims=True))
    assert adapt_filters(filters, 3) is filters


@pytest.mark.parametrize("channels", [2, 4, 5, 12])
def test_filters_go_round_and_keep_their_sum_on_equal_channels(channels: int) -> None:
    filters = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("float32")
    adapted = adapt_filters(filters, channels)
    assert adapted.shape == (4, channels, 3, 3)
    assert adapted.dtype == np.float32
    for channel in range(channels):
        np.testing.assert_allclose(adapted[:, channel], filters[:, channel % 3] * 3 / channels, rtol=1e-6)
    if channels % 3 == 0:
        np.testing.assert_allclose(adapted.sum(1), filters.sum(1), atol=1e-5)


@pytest.mark.parametrize(
    "channels", [1, 4, pytest.param(2, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ROWS)
def test_networks_read_images_of_any_channels(name: str, channels: int) -> None:
    size = get_spec(name).min_size
    network = create_network(name, 3, image_size=size, in_channels=channels)
    assert network.in_channels == channels
    assert network(paddle.randn([2, channels, size, size])).shape == [2, 3]
    assert network.state_dict()[network.input_weight].shape[1] == channels
    assert network.input_weight in network.stage_parameters(0)
    assert not network.stage_parameters(0)[network.input_weight].stop_gradient
    assert [s.name for s in network.describe(size)] == list(network.stage_names)
    with pytest.raises((ValueError, RuntimeError)):
        network(paddle.randn([2, 3, size, size]))


def test_a_gray_network_sees_what_the_colour_network_sees_in_gray(source: Path) -> None:
    colour, gray = (create_network(NAME, pretrained=source, in_channels=n) for n in (None, 1))
    colour.eval()
    gray.eval()
    x = paddle.randn([2, 1, 32, 32])
    np.testing.assert_allclose(gray(x).numpy(), colour(x.expand([2, 3, 32, 32])).numpy(), rtol=1e-4, atol=1e-6)
    assert list(colour.state_dict()) == list(gray.state_dict())


def test_a_cut_and_freezing_work_on_it() -> None:
    network = create_network(NAME, 3, in_channels=4, cut="conv3_2")
    network.freeze(1)
    assert network.stage_parameters(0)[INPUT].stop_gradient
    assert network(paddle.randn([2, 4, 32, 32])).shape == [2, 3]


def test_the_networks_own_channels_change_nothing() -> None:
    paddle.seed(1)
    plain = create_network(NAME)
    paddle.seed(1)
    asked = create_network(NAME, in_channels=3)
    assert asked.input_weight is None
    for key, value in plain.state_dict().items():
        np.testing.assert_array_equal(asked.state_dict()[key].numpy(), value.numpy())


def test_pretrained_colour_weights_are_adapted_and_reported(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = create_network(NAME, 2, in_channels=4, pretrained=source)
    expected = adapt_filters(read_weights(source)[INPUT], 4)
    np.testing.assert_array_equal(network.state_dict()[INPUT].numpy(), expected)
    arrays = len(read_weights(source)) - 2
    assert capsys.readouterr().err.strip() == (
        f"weights: source.pdparams loaded ({arrays} arrays); input layer adapted from 3 to 4 channels; "
        "head is new (2 outputs)"
    )


def test_bfloat16_weights_are_adapted(source: Path) -> None:
    state = read_weights(source)
    state[INPUT] = np.full(state[INPUT].shape, 0x3FC0, "uint16")  # 1.5, as Paddle keeps it
    write_weights(state, source)
    network = create_network(NAME, in_channels=1, pretrained=source)
    np.testing.assert_array_equal(network.state_dict()[INPUT].numpy(), 4.5)


def test_a_runs_own_weights_load_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = create_network(NAME, 2, in_channels=4)
    write_weights(trained.state_dict(), tmp_path / "best.pdparams")
    again = create_network(NAME, 2, in_channels=4)
    load_weights(again, tmp_path / "best.pdparams")
    np.testing.assert_array_equal(again.state_dict()[INPUT].numpy(), trained.state_dict()[INPUT].numpy())
    assert "adapted" not in capsys.readouterr().err


@pytest.mark.parametrize("channels", [None, 1, 2])
def test_weights_for_other_channels_are_refused(tmp_path: Path, channels: int | None) -> None:
    write_weights(create_network(NAME, 2, in_channels=4).state_dict(), tmp_path / "best.pdparams")
    with pytest.raises(WeightsError, match=r"conv1\.0\.weight is \(8, 4, 3, 3\) in the file") as caught:
        create_network(NAME, 2, in_channels=channels, pretrained=tmp_path / "best.pdparams")
    assert "model.in_channels: 4" in str(caught.value.hint)


def test_lenet_reads_gray_colour_and_more() -> None:
    paddle.seed(1)
    own = create_network("lenet")
    paddle.seed(1)
    four = create_network("lenet", in_channels=4)
    assert (own.in_channels, four.in_channels) == (1, 4)
    assert create_network("lenet", in_channels=1).input_weight is None
    colour = create_network("lenet", in_channels=3)
    assert (colour.in_channels, colour.input_weight) == (3, None)
    assert colour(paddle.randn([2, 3, 28, 28])).shape == [2, 10]
    own.eval()
    four.eval()
    x = paddle.randn([2, 1, 28, 28])
    np.testing.assert_allclose(four(x.expand([2, 4, 28, 28])).numpy(), own(x).numpy(), atol=1e-5)


class Odd(paddle.nn.Layer):
    """A network with a given first layer."""

    def __init__(self, first: paddle.nn.Layer, second: paddle.nn.Layer) -> None:
        super().__init__()
        self.first, self.second = first, second


class Both(paddle.nn.Layer):
    """Two convolutions on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = paddle.nn.Conv2D(3, 2, 3), paddle.nn.Conv2D(3, 2, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.a(x) + self.b(x)


class Normalised(paddle.nn.Layer):
    """A convolution on an image that is normalised inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 2, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.conv(x - 0.5)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (paddle.nn.BatchNorm2D(3), "first, is a BatchNorm2D not a convolution"),
        (paddle.nn.Linear(32, 4), "first, is a Linear not a convolution"),
        (paddle.nn.Sequential(paddle.nn.PixelUnshuffle(2), paddle.nn.Conv2D(12, 2, 3)), "does not read the image"),
        (Normalised(), r"first\.conv, does not read the image"),
        (paddle.nn.Conv2D(3, 6, 3, groups=3), "in 3 groups"),
        (Both(), r"first\.a and first\.b both read the image"),
    ],
)
def test_a_network_without_a_first_convolution_is_refused(first: paddle.nn.Layer, says: str) -> None:
    network = Odd(first, paddle.nn.Conv2D(3, 2, 3))
    with pytest.raises(NetworkError, match=says) as caught:
        adapt_input(network, replace(get_spec("resnet18"), name="odd"), [stage("first"), stage("second")], 4)
    assert "in_channels" in str(caught.value.hint)
    adapt_input(network, get_spec("resnet18"), [stage("first"), stage("second")], 3)


def test_no_channels_are_refused() -> None:
    with pytest.raises(NetworkError, match="in_channels is 0"):
        create_network(NAME, in_channels=0)
