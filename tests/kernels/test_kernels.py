"""Convolutions by kernels: the same numbers as Paddle's, from any number of threads, and restored afterwards."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn
from threadpoolctl import threadpool_info, threadpool_limits

from toolkit.engine.learning.fast_convolutions import running_layers
from toolkit.kernels import (
    depthwise,
    fast_convolutions,
    is_installed,
    kernels_problem,
    layer,
    suitable_layers,
    thread_pool,
    winograd,
)
from toolkit.zoo import create_network

needs_numba = pytest.mark.skipif(not is_installed(), reason="numba is not installed: kernels are NOT tested")

Result = tuple[np.ndarray, ...]


def plain(channels: int = 24, out_channels: int = 32, **settings: Any) -> nn.Conv2D:
    """A convolution for Winograd's filtering."""
    return conv_of(channels=channels, out_channels=out_channels, groups=1, **settings)


def conv_of(size: int = 3, stride: int = 1, channels: int = 6, **settings: Any) -> nn.Conv2D:
    paddle.seed(5)
    values = {"padding": size // 2, "groups": channels, "bias_attr": False, **settings}
    return nn.Conv2D(channels, values.pop("out_channels", channels), size, stride=stride, **values)


def images(batch: int, side: int, channels: int = 6) -> paddle.Tensor:
    rng = np.random.default_rng(side)
    return paddle.to_tensor(rng.normal(size=(batch, channels, side, side + 1)).astype(np.float32), stop_gradient=False)


def passed(conv: nn.Conv2D, x: paddle.Tensor, fast: bool) -> Result:
    """Return outputs, and gradients of inputs and weights."""
    conv.clear_gradients()
    x.clear_gradient()
    if fast:
        assert layer._takes(layer._method(conv), layer._geometry(conv), conv, x)
    with fast_convolutions([conv] if fast else []):
        out = conv(x)
    rng = np.random.default_rng(1)
    (out * paddle.to_tensor(rng.normal(size=out.shape).astype(np.float32))).sum().backward()
    return out.numpy(), x.grad.numpy(), *(each.grad.numpy() for each in conv.parameters())


def assert_close(found: Result, expected: Result) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@needs_numba
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("side", [7, 14, 15])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_outputs_and_gradients_are_those_of_paddle(size: int, stride: int, side: int, batch: int) -> None:
    conv, x = conv_of(size, stride), images(batch, side)
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
@pytest.mark.parametrize("settings", [{"padding": 0}, {"padding": 2}, {"padding": "VALID"}, {"bias_attr": None}])
@pytest.mark.parametrize("stride", [1, 2])
def test_other_paddings_and_a_bias(stride: int, settings: dict[str, Any]) -> None:
    conv, x = conv_of(stride=stride, **settings), images(2, 9)
    if conv.bias is not None:
        conv.bias.set_value(np.arange(6, dtype=np.float32))
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
def test_the_largest_kernel(stride: int) -> None:
    conv, x = conv_of(7, stride), images(2, 15)
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
def test_a_map_of_one_pixel() -> None:
    conv = conv_of()
    x = paddle.ones([2, 6, 1, 1])
    x.stop_gradient = False
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
@pytest.mark.parametrize("batch", [3, 5])
@pytest.mark.parametrize("side", [7, 14, 15])
def test_plain_convolutions_are_those_of_paddle(side: int, batch: int) -> None:
    conv, x = plain(), images(batch, side, 24)
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
@pytest.mark.parametrize("settings", [{"padding": 0}, {"padding": 2}, {"padding": "VALID"}, {"bias_attr": None}])
@pytest.mark.parametrize("side", [8, 9])
def test_other_paddings_and_a_bias_of_plain_ones(side: int, settings: dict[str, Any]) -> None:
    conv, x = plain(**settings), images(4, side, 24)
    if conv.bias is not None:
        conv.bias.set_value(np.arange(32, dtype=np.float32))
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@needs_numba
@pytest.mark.parametrize("tiles", [1, 10, 33, 120, 10_000])
def test_pieces_of_any_size(tiles: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_CACHE", 24 * tiles)
    monkeypatch.setattr(winograd, "_BUFFER", 56 * tiles)
    conv, x = plain(), images(5, 11, 24)
    assert_close(passed(conv, x, fast=True), passed(conv, x, fast=False))


@pytest.mark.parametrize("tiles", [1, 7, 30, 64, 65, 1000])
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (3, 4, 9, 14), (8, 4, 16, 16)])
def test_pieces_hold_every_tile_once(shape: tuple[int, ...], tiles: int) -> None:
    pieces = winograd._pieces(shape, tiles)
    height, width = -(-shape[2] // 2), -(-shape[3] // 2)
    found = [(n, row) for first, last, top, bottom in pieces for n in range(first, last) for row in range(top, bottom)]
    assert sorted(found) == [(n, row) for n in range(shape[0]) for row in range(height)]
    sizes = (pieces[:, 1] - pieces[:, 0]) * (pieces[:, 3] - pieces[:, 2]) * width
    assert sizes.max() == sizes[0] <= max(tiles, width)


@needs_numba
@pytest.mark.parametrize(("side", "batch"), [(1, 200), (3, 50), (7, 2)])
def test_maps_with_few_tiles_or_much_around_them_are_left_to_paddle(
    side: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = winograd.WINOGRAD._replace(forward=lambda *args: pytest.fail("the kernels were asked"))
    monkeypatch.setattr(layer, "_METHODS", (refusing,))
    conv = plain()
    with fast_convolutions([conv]), paddle.no_grad():
        conv(paddle.ones([batch, 24, side, side]))


@needs_numba
@pytest.mark.parametrize("make", [lambda: conv_of(channels=24), plain])
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_and_repetition_change_no_bit(
    make: Callable[[], nn.Conv2D], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv, x, found = make(), images(batch, 20, 24), []
    monkeypatch.setattr(thread_pool, "_LITTLE", 0)
    monkeypatch.setattr(winograd, "_CACHE", 200)
    for threads in (1, 2, 3, 2):
        monkeypatch.setattr(thread_pool, "_threads", lambda threads=threads: threads)
        found.append(passed(conv, x, fast=True))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


@needs_numba
def test_matrices_are_multiplied_by_one_thread_meanwhile() -> None:
    kernels_problem()
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        assert set(before) == {2}
        with fast_convolutions([conv_of()]):
            assert blas_threads() == before
        with fast_convolutions([plain()]):
            assert set(blas_threads()) == {1}
        assert blas_threads() == before


def blas_threads() -> list[int]:
    """Return the threads of the library that the kernels use."""
    return [
        each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas" and "scipy" in each["filepath"]
    ]


@needs_numba
def test_a_damaged_file_of_machine_code_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from toolkit.kernels.compile import compiled
    from toolkit.kernels.depthwise_kernels import _SIGNATURE, _make_forward

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    compiled(_SIGNATURE, _make_forward(3, 1))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:50])
    out = np.zeros((1, 4, 4), np.float32)
    compiled(_SIGNATURE, _make_forward(3, 1))(
        np.ones((1, 4, 4), np.float32), np.ones((1, 3, 3), np.float32), out, 1, 0, 1
    )
    np.testing.assert_array_equal(out[0, :2], [[4, 6, 6, 4], [6, 9, 9, 6]])


def test_every_plane_is_worked_on_once_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "_LITTLE", 0)
    monkeypatch.setattr(thread_pool, "_threads", lambda: 3)
    done: list[int] = []
    names: set[str] = set()
    together = threading.Barrier(3)

    def work(start: int, stop: int) -> None:
        if threading.current_thread().name not in names:
            names.add(threading.current_thread().name)
            together.wait()
        done.extend(range(start, stop))

    thread_pool.share(work, 25, 25)
    assert sorted(done) == list(range(25))
    assert len(names) == 3


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "_LITTLE", 0)
    monkeypatch.setattr(thread_pool, "_threads", lambda: 2)

    def work(start: int, stop: int) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        thread_pool.share(work, 8, 8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "_LITTLE", 0)
    monkeypatch.setattr(thread_pool, "_threads", lambda: 2)
    thread_pool.share(lambda start, stop: None, 8, 8)
    child = os.fork()
    if not child:
        done: list[int] = []
        thread_pool.share(lambda start, stop: done.extend(range(start, stop)), 8, 8)
        os._exit(0 if sorted(done) == list(range(8)) else 1)
    assert os.waitpid(child, 0)[1] == 0


@needs_numba
def test_only_what_learns_has_gradients() -> None:
    conv, x = conv_of(), images(2, 8)
    expected = conv(x).numpy()
    x.stop_gradient = True
    with fast_convolutions([conv]):
        conv(x).sum().backward()
    assert x.grad is None
    assert conv.weight.grad is not None
    conv, x = conv_of(), images(2, 8)
    conv.weight.stop_gradient = True
    with fast_convolutions([conv]):
        conv(x).sum().backward()
        with paddle.no_grad():
            still = conv(x)
    assert conv.weight.grad is None
    assert x.grad is not None
    assert still.stop_gradient
    np.testing.assert_allclose(still.numpy(), expected, rtol=1e-5, atol=1e-6)


@needs_numba
def test_inputs_that_are_not_contiguous() -> None:
    conv = conv_of()
    x = images(2, 8).transpose([0, 1, 3, 2])
    with fast_convolutions([conv]):
        found = conv(x)
    np.testing.assert_allclose(found.numpy(), conv(x).numpy(), rtol=1e-5, atol=1e-6)


@needs_numba
def test_a_second_derivative_is_refused() -> None:
    conv, x = conv_of(), images(1, 8)
    with fast_convolutions([conv]):
        out = conv(x)
    with pytest.raises((OSError, RuntimeError)):
        paddle.grad((out * out).sum(), [x], create_graph=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"groups": 1},  # few channels
        {"groups": 3},
        {"out_channels": 12},
        {"dilation": 2},
        {"stride": 3},
        {"size": 2},
        {"padding": [1, 2]},
        {"padding": "SAME"},
        {"padding_mode": "reflect"},
        {"data_format": "NHWC"},
    ],
)
def test_layers_that_are_left_to_paddle(settings: dict[str, Any]) -> None:
    assert layer._method(conv_of()) is depthwise.DEPTHWISE
    assert layer._method(conv_of(**settings)) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 23},
        {"out_channels": 23},
        {"size": 5},
        {"size": 1},
        {"stride": 2},
        {"dilation": 2},
        {"padding": 3},
        {"padding": [1, 2]},
        {"padding": "SAME"},
        {"padding_mode": "reflect"},
        {"data_format": "NHWC"},
    ],
)
def test_plain_layers_that_are_left_to_paddle(settings: dict[str, Any]) -> None:
    assert layer._method(plain()) is winograd.WINOGRAD
    assert layer._method(plain(**settings)) is None


@needs_numba
def test_what_the_kernels_cannot_take_goes_to_paddle(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = depthwise.DEPTHWISE._replace(forward=lambda *args: pytest.fail("the kernels were asked"))
    monkeypatch.setattr(layer, "_METHODS", (refusing,))
    conv = conv_of(padding=0)
    with fast_convolutions([conv]), pytest.raises((ValueError, RuntimeError)):
        conv(paddle.ones([2, 5, 8, 8]))
    double = conv_of().to(dtype="float64")
    with fast_convolutions([double]):
        assert double(paddle.ones([1, 6, 8, 8], "float64")).dtype == paddle.float64


def test_layers_of_networks() -> None:
    network = create_network("mobilenet_v2", 3, image_size=32)
    assert len(suitable_layers(running_layers(network))) == 17
    with network.starting_at(len(network.stage_names)):
        assert suitable_layers(running_layers(network)) == []
    assert len(suitable_layers(running_layers(create_network("resnet18", 3, image_size=32)))) == 13


def test_layers_are_restored() -> None:
    network = create_network("mobilenet_v2", 3, image_size=32)
    layers = suitable_layers(running_layers(network))
    before = dict(network.state_dict())
    with pytest.raises(KeyError), fast_convolutions(layers):
        assert all(type(each) is not nn.Conv2D and isinstance(each, nn.Conv2D) for each in layers)
        raise KeyError
    assert all(type(each) is nn.Conv2D for each in layers)
    assert all(network.state_dict()[key] is value for key, value in before.items())


@needs_numba
def test_exporting_meanwhile_gives_the_same_model(tmp_path: Path) -> None:
    network = create_network("mobilenet_v1_x0_25", 3, image_size=32)
    network.eval()
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32))
    expected = network(x).numpy()
    with fast_convolutions(suitable_layers(running_layers(network))):
        paddle.jit.save(
            network, str(tmp_path / "m"), input_spec=[paddle.static.InputSpec([None, 3, 32, 32], "float32", "image")]
        )
    np.testing.assert_allclose(paddle.jit.load(str(tmp_path / "m"))(x).numpy(), expected, rtol=1e-4, atol=1e-6)
