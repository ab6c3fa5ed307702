"""The contract of every row of ``paddle.vision.models``."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from importlib import import_module

import numpy as np
import paddle
import pytest

from toolkit.core.errors import NetworkError
from toolkit.zoo import NetworkSpec, StagedNetwork, create_network, get_spec, list_networks
from toolkit.zoo.forward_steps import layer_at
from toolkit.zoo.upstream import build_original

NAMES = [name for name in list_networks() if get_spec(name).library == "paddle"]
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
EVERY_PREFIX = ("lenet", "resnet18")
EVERY_PREFIX_SLOWLY = ("mobilenet_v1_x0_25", "squeezenet1_1")


def rows(quick: tuple[str, ...], slow: tuple[str, ...] = ()) -> list[object]:
    marks = dict.fromkeys(NAMES, pytest.mark.zoo) | dict.fromkeys(slow, pytest.mark.slow)
    return [pytest.param(name, marks=() if name in quick else marks[name]) for name in NAMES]


ROWS = rows(QUICK)


def smallest(spec: NetworkSpec) -> int:
    """Side of the smallest images that the whole network takes, auxiliary classifiers included."""
    return max([spec.min_size, *(one.min_size for one in spec.auxiliary)])


def images_for(spec: NetworkSpec, count: int = 2, size: int | None = None) -> paddle.Tensor:
    size = size or spec.min_size
    return paddle.randn([count, spec.in_channels, size, size])


def outputs_of(result: object) -> list[np.ndarray]:
    return [one.numpy() for one in (result if isinstance(result, (tuple, list)) else [result])]


def pair(name: str) -> tuple[NetworkSpec, paddle.nn.Layer, StagedNetwork]:
    """A row, the original network, and ours with the original's state."""
    spec = get_spec(name)
    original, network = build_original(spec), create_network(name)
    state = original.state_dict()
    assert set(state) == set(network.state_dict())
    for key, value in network.state_dict().items():
        value.set_value(state[key])
    return spec, original, network


def network_for_three_classes(name: str) -> StagedNetwork:
    """Create a network for the smallest images of its row."""
    paddle.seed(0)
    return create_network(name, num_classes=3, image_size=get_spec(name).min_size)


@pytest.fixture(scope="module", params=ROWS)
def new_network(request: pytest.FixtureRequest) -> StagedNetwork:
    """A network for three classes; tests leave its weights as they are."""
    return network_for_three_classes(request.param)


@pytest.mark.parametrize("name", ROWS)
def test_network_is_the_original_to_the_bit(name: str) -> None:
    """In training: all outputs, those of auxiliary classifiers too, with the same dropout, and new statistics."""
    spec, original, network = pair(name)
    original.eval()
    network.eval()
    x = images_for(spec, size=smallest(spec))
    with paddle.no_grad():
        expected = outputs_of(original(x))[0]
        np.testing.assert_array_equal(network(x).numpy(), expected)
        for k in (1, len(network.stage_names) // 2, len(network.stage_names)):
            z = network.features(x, k)
            np.testing.assert_array_equal(network.forward_from(z, k).numpy(), expected)
    results = []
    for one in (original, network):
        one.train()
        paddle.seed(7)
        with paddle.no_grad():
            results.append(outputs_of(one(x)))
    assert len(results[1]) == 1 + len(spec.auxiliary)
    for expected, ours in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, expected)
    for key, value in original.state_dict().items():
        np.testing.assert_array_equal(network.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize("name", ROWS)
def test_stages_and_head_hold_every_array_once(name: str) -> None:
    network = create_network(name)
    parts = [network.stage_state(i) for i in range(len(network.stage_names))]
    head = list(network.head_parameters())
    auxiliary = list(network.auxiliary_state())
    keys = [key for part in parts for key in part] + head + auxiliary
    assert len(keys) == len(set(keys))
    assert set(keys) == set(network.state_dict())
    assert len(set(network.stage_names)) == len(network.stage_names)
    weights = [k for i in range(len(parts)) for k in network.stage_parameters(i)] + list(network.head_parameters())
    assert {*weights, *auxiliary} == {k for k, p in network.named_parameters() if not p.stop_gradient}


def test_a_new_head_fits_the_row(new_network: StagedNetwork) -> None:
    network = new_network
    network.eval()
    assert network(images_for(network.spec)).shape == [2, 3]
    weight = network.head_parameters()[f"{network.spec.head}.weight"]
    assert list(weight.shape) == [network.spec.width, 3]
    assert set(network.head_parameters()) == {f"{network.spec.head}.weight", f"{network.spec.head}.bias"}


@pytest.mark.parametrize("name", ROWS)
def test_no_dropout_of_a_new_top_scales_at_inference(name: str) -> None:
    """Stages keep theirs: pretrained weights were trained with it."""
    network = create_network(name, num_classes=3)
    stages = {id(layer) for stage in network._stages for top in stage.layers.values() for layer in top.sublayers(True)}
    others = [layer for layer in network.sublayers() if id(layer) not in stages]
    assert not [layer for layer in others if getattr(layer, "mode", "") == "downscale_in_infer"]


def test_description_is_what_the_network_does(new_network: StagedNetwork) -> None:
    network = new_network
    network.train()
    network.freeze(1)
    modes = {key: layer.training for key, layer in network.named_sublayers(include_self=True)}
    stages = network.describe(network.spec.min_size)
    assert [s.name for s in stages] == list(network.stage_names)
    assert all(min(s.shape) >= 1 for s in stages)
    x = images_for(network.spec)
    for index, described in enumerate(stages):
        assert described.parameters == sum(p.size for p in network.stage_parameters(index).values())
        with paddle.no_grad():
            assert tuple(network.features(x, index + 1).shape[1:]) == described.shape
    assert {key: layer.training for key, layer in network.named_sublayers(include_self=True)} == modes


class AllOutputs(paddle.nn.Layer):
    """Cross entropy of the logits and of those of auxiliary classifiers."""

    def forward(self, *outputs: paddle.Tensor) -> paddle.Tensor:
        *logits, labels = outputs
        return sum(paddle.nn.functional.cross_entropy(one, labels) for one in logits)


def moved_in_two_steps(network: StagedNetwork, size: int) -> set[str]:
    """Train with ``paddle.Model``, return the keys of what moved, and restore it."""
    shape = [None, network.in_channels, size, size]
    image, label = paddle.static.InputSpec(shape, name="image"), paddle.static.InputSpec([None], "int64", name="label")
    model = paddle.Model(network, [image], [label])
    optimizer = paddle.optimizer.Momentum(0.01, parameters=network.parameters(), weight_decay=0.01)
    model.prepare(optimizer, AllOutputs())
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    for _ in range(2):
        model.train_batch([images_for(network.spec, 4, size).numpy()], [np.array([0, 1, 2, 0])])
    after = network.state_dict()
    moved = {key for key, value in after.items() if (value.numpy() != before[key]).any()}
    assert all(np.isfinite(after[key].numpy()).all() for key in moved)
    for key in moved:
        after[key].set_value(before[key])
    del model, optimizer
    gc.collect()  # a Model and its parts form cycles, and hold memory that Python does not see
    return moved


def check_freezing(network: StagedNetwork, size: int, k: int, idle: Collection[str] = ()) -> None:
    """Freeze k stages and train: all but these, the idle ones and the statistics of a head's features moves."""
    network.train()
    network.freeze(k)
    assert network.frozen == k
    unmoved = {key for i in range(k) for key in network.stage_state(i)} | set(idle)
    unmoved |= {key for one in network._auxiliary if one.stage <= k for key in one.branch.state()}
    unmoved |= {key for key in network.state_dict() if key.endswith((".feature_mean", ".feature_scale"))}  # not learned
    assert moved_in_two_steps(network, size) == set(network.state_dict()) - unmoved


def test_frozen_stages_do_not_move_and_the_others_do(new_network: StagedNetwork) -> None:
    check_freezing(new_network, new_network.spec.min_size, len(new_network.stage_names) // 2)


@pytest.mark.parametrize("name", rows(EVERY_PREFIX, EVERY_PREFIX_SLOWLY))
def test_freezing_every_prefix(name: str) -> None:
    spec = get_spec(name)
    network = create_network(name, num_classes=3, image_size=smallest(spec))
    for k in range(len(network.stage_names) + 1):
        check_freezing(network, smallest(spec), k)


def windows_beyond_their_maps(network: StagedNetwork) -> Iterator[str]:
    """Run the network and yield the convolutions and pools whose window is larger than the padded map."""
    found: list[str] = []

    def note(layer: paddle.nn.Layer, inputs: tuple[paddle.Tensor, ...]) -> None:
        window = np.broadcast_to(layer._kernel_size if hasattr(layer, "_kernel_size") else layer.ksize, 2)
        padding = getattr(layer, "_updated_padding", getattr(layer, "padding", 0))
        if padding == "SAME":  # fits any map
            return
        padding = np.broadcast_to(padding, 2)
        if (np.array(inputs[0].shape[2:]) + 2 * padding < window).any():
            found.append(f"{layer.full_name()} on {inputs[0].shape}")

    kinds = (paddle.nn.Conv2D, paddle.nn.MaxPool2D, paddle.nn.AvgPool2D)
    hooks = [one.register_forward_pre_hook(note) for one in network.sublayers() if isinstance(one, kinds)]
    network.eval()
    with paddle.no_grad():
        network(images_for(network.spec, 1))
    for hook in hooks:
        hook.remove()
    yield from found


def test_the_smallest_size(new_network: StagedNetwork) -> None:
    """Paddle accepts windows larger than the map; the result then depends on the backend."""
    spec = new_network.spec
    assert spec.min_size <= 32 or spec.name in ("alexnet", "googlenet", "inception_v3", "squeezenet1_0")
    assert list(windows_beyond_their_maps(new_network)) == []
    with pytest.raises(NetworkError, match=f"at least {spec.min_size}"):
        create_network(spec.name, 2, image_size=spec.min_size - 1)


@pytest.mark.parametrize("name", ROWS)
def test_row_agrees_with_paddle(name: str) -> None:
    """Weights, checksum and head are those that Paddle itself uses."""
    spec = get_spec(name)
    original = build_original(spec)
    assert layer_at(original, spec.head) is not None
    published = dict(vars(import_module(type(original).__module__)).get("model_urls", {})).values()
    if spec.weights is not None:
        assert (spec.weights.url, spec.weights.md5) in published
    assert (spec.top1 is None) or (spec.weights is not None and 0.4 < spec.top1 < 0.9)


def test_no_published_weights_are_forgotten() -> None:
    known = {get_spec(name).weights.url for name in NAMES if get_spec(name).weights}
    modules = {import_module(original.__module__) for original in _factories()}
    published = {url for module in modules for url, _ in getattr(module, "model_urls", {}).values()}
    assert known == published


def _factories() -> list[object]:
    names = {get_spec(name).factory.rpartition(".")[2] for name in NAMES}
    return [getattr(paddle.vision.models, name) for name in sorted(names)]


def test_every_factory_of_paddle_has_a_row() -> None:
    functions = {n for n in paddle.vision.models.__all__ if n.islower()} | {"LeNet"}
    assert functions == {get_spec(name).factory.rpartition(".")[2] for name in NAMES}
