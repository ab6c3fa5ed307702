"""What holds for every row of the zoo."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import paddle
import pytest

from toolkit.zoo import NetworkSpec, create_network, get_spec, list_networks
from toolkit.zoo.steps import layer_at

QUICK = (
    "lenet",
    "mobilenet_v1_x0_25",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet18",
    "shufflenet_v2_x0_25",
    "squeezenet1_0",
    "squeezenet1_1",
    "densenet121",
    "googlenet",
    "inception_v3",
)
ROWS = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in list_networks()]


def original_of(spec: NetworkSpec) -> paddle.nn.Layer:
    module, _, attribute = spec.factory.rpartition(".")
    return getattr(import_module(module), attribute)(**spec.options)


def images_for(spec: NetworkSpec, count: int = 2) -> paddle.Tensor:
    return paddle.randn([count, spec.in_channels, spec.min_size, spec.min_size])


def main_output(output: paddle.Tensor | tuple[paddle.Tensor, ...]) -> np.ndarray:
    return (output[0] if isinstance(output, (tuple, list)) else output).numpy()


def is_auxiliary(spec: NetworkSpec, key: str) -> bool:
    return any(key.startswith(f"{path}.") for path in spec.auxiliary)


def pair(name: str) -> tuple[NetworkSpec, paddle.nn.Layer, paddle.nn.Layer]:
    """A row, the original network, and ours with the original's state."""
    spec = get_spec(name)
    original, network = original_of(spec), create_network(name)
    state = {k: v for k, v in original.state_dict().items() if not is_auxiliary(spec, k)}
    assert set(state) == set(network.state_dict())
    for key, value in network.state_dict().items():
        value.set_value(state[key])
    return spec, original, network


@pytest.mark.parametrize("name", ROWS)
def test_network_is_the_original_to_the_bit(name: str) -> None:
    spec, original, network = pair(name)
    original.eval()
    network.eval()
    # googlenet's auxiliary classifiers, which are left out, take one size only
    size = spec.input_size if spec.auxiliary else spec.min_size
    x = paddle.randn([2, spec.in_channels, size, size])
    with paddle.no_grad():
        expected = main_output(original(x))
        np.testing.assert_array_equal(network(x).numpy(), expected)
        for k in (1, len(network.stage_names) // 2, len(network.stage_names)):
            z = network.features(x, k)
            np.testing.assert_array_equal(network.forward_from(z, k).numpy(), expected)
            np.testing.assert_array_equal(network.tail(k).eval()(z).numpy(), expected)


@pytest.mark.parametrize("name", ROWS)
def test_stages_and_head_hold_every_array_once(name: str) -> None:
    network = create_network(name)
    parts = [network.stage_state(i) for i in range(len(network.stage_names))]
    head = [k for k in network.state_dict() if k.startswith(f"{network.spec.head}.")]
    keys = [key for part in parts for key in part] + head
    assert len(keys) == len(set(keys))
    assert set(keys) == set(network.state_dict())
    assert len(set(network.stage_names)) == len(network.stage_names)
    weights = [k for i in range(len(parts)) for k in network.stage_parameters(i)] + list(network.head_parameters())
    assert set(weights) == {k for k, p in network.named_parameters() if not p.stop_gradient}


@pytest.mark.parametrize("name", ROWS)
def test_a_new_head_fits_the_row(name: str) -> None:
    network = create_network(name, num_classes=3, image_size=get_spec(name).min_size)
    network.eval()
    assert network(images_for(network.spec)).shape == [2, 3]
    weight = network.head_parameters()[f"{network.spec.head}.weight"]
    assert list(weight.shape) == [network.spec.width, 3]
    assert set(network.head_parameters()) == {f"{network.spec.head}.weight", f"{network.spec.head}.bias"}


@pytest.mark.parametrize("name", ROWS)
def test_description_is_what_the_network_does(name: str) -> None:
    network = create_network(name, num_classes=2)
    network.freeze(1)
    modes = {key: layer.training for key, layer in network.named_sublayers(include_self=True)}
    stages = network.describe(network.spec.min_size)
    assert [s.name for s in stages] == list(network.stage_names)
    assert all(min(s.shape) >= 1 for s in stages)
    for index, described in enumerate(stages):
        assert described.parameters == sum(p.size for p in network.stage_parameters(index).values())
    assert {key: layer.training for key, layer in network.named_sublayers(include_self=True)} == modes


def train_two_steps(network: paddle.nn.Layer) -> set[str]:
    """Train through paddle.Model; give the keys of what moved."""
    spec = network.spec
    shape = [None, spec.in_channels, spec.min_size, spec.min_size]
    image, label = paddle.static.InputSpec(shape, name="image"), paddle.static.InputSpec([None], "int64", name="label")
    model = paddle.Model(network, [image], [label])
    optimizer = paddle.optimizer.Momentum(0.01, parameters=network.parameters(), weight_decay=0.01)
    model.prepare(optimizer, paddle.nn.CrossEntropyLoss())
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    for _ in range(2):
        model.train_batch([images_for(spec, 4).numpy()], [np.array([0, 1, 2, 0])])
    return {key for key, value in network.state_dict().items() if (value.numpy() != before[key]).any()}


@pytest.mark.parametrize("name", ROWS)
def test_frozen_stages_do_not_move_and_the_others_do(name: str) -> None:
    network = create_network(name, num_classes=3)
    k = len(network.stage_names) // 2
    network.freeze(k)
    moved = train_two_steps(network)
    frozen = {key for i in range(k) for key in network.stage_state(i)}
    assert frozen, "the row's first stages have no arrays"
    assert moved == set(network.state_dict()) - frozen


@pytest.mark.parametrize("name", ROWS)
def test_the_smallest_size_is_checked(name: str) -> None:
    spec = get_spec(name)
    with pytest.raises(Exception, match=f"at least {spec.min_size}"):
        create_network(name, 2, image_size=spec.min_size - 1)


@pytest.mark.parametrize("name", ROWS)
def test_row_agrees_with_paddle(name: str) -> None:
    """Weights, checksum and head are those that Paddle itself uses."""
    spec = get_spec(name)
    original = original_of(spec)
    assert layer_at(original, spec.head) is not None
    published = dict(vars(import_module(type(original).__module__)).get("model_urls", {})).values()
    if spec.weights is not None:
        assert (spec.weights.url, spec.weights.md5) in published
    assert (spec.top1 is None) or (spec.weights is not None and 0.4 < spec.top1 < 0.9)


def test_no_published_weights_are_forgotten() -> None:
    known = {get_spec(name).weights.url for name in list_networks() if get_spec(name).weights}
    modules = {import_module(original.__module__) for original in _factories()}
    published = {url for module in modules for url, _ in getattr(module, "model_urls", {}).values()}
    assert known == published


def _factories() -> list[object]:
    names = {get_spec(name).factory.rpartition(".")[2] for name in list_networks()}
    return [getattr(paddle.vision.models, name) for name in sorted(names)]


def test_every_factory_of_paddle_has_a_row() -> None:
    functions = {n for n in paddle.vision.models.__all__ if n.islower()} | {"LeNet"}
    assert functions == {get_spec(name).factory.rpartition(".")[2] for name in list_networks()}
