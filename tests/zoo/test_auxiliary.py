"""GoogLeNet's auxiliary classifiers, which exist in training only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.core.errors import NetworkError, WeightsError
from toolkit.zoo import StagedNetwork, create_network, get_spec, load_weights, read_weights, write_weights

SPEC = get_spec("googlenet")
FIRST, SECOND = (SPEC.stages.index(next(s for s in SPEC.stages if s.name == a.after)) + 1 for a in SPEC.auxiliary)


@pytest.fixture(scope="module")
def images() -> paddle.Tensor:
    return paddle.randn([2, 3, 189, 189])


@pytest.fixture(scope="module")
def shared_network() -> StagedNetwork:
    return create_network("googlenet", 3, image_size=189)


@pytest.fixture
def network(shared_network: StagedNetwork) -> StagedNetwork:
    """In training, with nothing frozen; tests leave its weights as they are."""
    shared_network.freeze(0)
    shared_network.train()
    return shared_network


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the original network, as Paddle saves them."""
    path = tmp_path_factory.mktemp("source") / "source.pdparams"
    paddle.save(paddle.vision.models.googlenet().state_dict(), str(path))
    return path


def auxiliary_keys(network: StagedNetwork) -> set[str]:
    return {key for key in network.state_dict() if "_o1." in key or "_o2." in key or key.startswith("_out")}


def test_training_gives_three_outputs_and_evaluation_one(network: StagedNetwork, images: paddle.Tensor) -> None:
    assert [one.shape for one in network(images)] == [[2, 3]] * 3
    assert network.auxiliary_weights == (0.3, 0.3)
    network.eval()
    assert network(images).shape == [2, 3]
    assert network.features(images, 12).shape[1] == 1024
    network.train()
    assert network.forward_from(network.features(images, 12), 12).shape == [2, 3]


def test_other_networks_have_none() -> None:
    network = create_network("lenet", 3)
    assert network.auxiliary_weights == ()
    assert network.auxiliary_state() == {}
    assert network(paddle.randn([2, 1, 28, 28])).shape == [2, 3]


def test_their_last_layers_are_for_the_new_classes(network: StagedNetwork) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.auxiliary_state().items()}
    assert shapes["_out1.weight"] == shapes["_out2.weight"] == (1024, 3)
    assert shapes["_fc_o1.weight"] == (1152, 1024)
    assert set(shapes) == auxiliary_keys(network)
    assert not set(shapes) & set(network.head_parameters())


@pytest.mark.parametrize(
    ("frozen", "running"), [(0, 2), (FIRST - 1, 2), (FIRST, 1), (SECOND - 1, 1), (SECOND, 0), ("all", 0), (1, 2)]
)
def test_they_are_frozen_with_the_stage_that_they_read(
    network: StagedNetwork, images: paddle.Tensor, frozen: int | str, running: int
) -> None:
    network.freeze(frozen)
    assert network.auxiliary_weights == (0.3,) * running
    outputs = network(images)
    assert (len(outputs) if running else outputs.ndim) == (running + 1 if running else 2)
    trained = [key for key, weight in network.auxiliary_state().items() if not weight.stop_gradient]
    assert len(trained) == 5 * running
    network.freeze(0)
    assert network.auxiliary_weights == (0.3, 0.3)


@pytest.mark.parametrize(("start_stage", "running"), [(1, 2), (FIRST - 1, 2), (FIRST, 1), (SECOND, 0), (12, 0)])
def test_entering_above_them_leaves_them_out(
    network: StagedNetwork, images: paddle.Tensor, start_stage: int, running: int
) -> None:
    network.eval()
    z = network.features(images, start_stage)
    network.train()
    with network.starting_at(start_stage):
        assert network.auxiliary_weights == (0.3,) * running
        outputs = network(z)
    assert (len(outputs) if running else outputs.ndim) == (running + 1 if running else 2)


@pytest.mark.parametrize(("cut", "left"), [("_ince3b", 0), ("_ince4a", 1), ("_ince4c", 1), ("_ince4d", 2)])
def test_a_cut_below_them_leaves_them_out(cut: str, left: int) -> None:
    network = create_network("googlenet", 3, cut=cut)
    assert network.auxiliary_weights == (0.3,) * left
    assert len(network.auxiliary_state()) == 5 * left


@pytest.mark.parametrize("size", [61, 188, 237, 299])
def test_sizes_that_they_cannot_take_leave_them_out(
    size: int, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = create_network("googlenet", 3, image_size=size, pretrained=source)
    assert network.auxiliary_weights == ()
    assert auxiliary_keys(network) == set()
    assert network(paddle.randn([2, 3, size, size])).shape == [2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "googlenet: trained without its auxiliary classifiers, which take images of 189 to 236 pixels"
    assert len(lines) == 2


@pytest.mark.parametrize("size", [189, 236])
def test_the_sizes_of_the_row_are_their_limits(size: int) -> None:
    network = create_network("googlenet", 3, image_size=size)
    assert len(network(paddle.randn([1, 3, size, size]))) == 3
    branch, beyond = network._auxiliary[0], {189: 188, 236: 237}[size]
    with pytest.raises((ValueError, RuntimeError)):
        branch(network.features(paddle.randn([1, 3, beyond, beyond]), FIRST))


def test_training_at_another_size_is_refused_and_evaluation_is_not(network: StagedNetwork) -> None:
    x = paddle.randn([2, 3, 128, 128])
    with pytest.raises(NetworkError, match="189 to 236 pixels in training, not 128") as caught:
        network(x)
    assert "image_size" in str(caught.value.hint)
    network.eval()
    assert network(x).shape == [2, 3]


def test_pretrained_weights_load_below_their_last_layers(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = create_network("googlenet", 1000, pretrained=source)
    arrays = read_weights(source)
    new = {f"{layer}.{kind}" for layer in ("_fc_out", "_out1", "_out2") for kind in ("weight", "bias")}
    for key, value in network.state_dict().items():
        if not key.endswith(("bias", "feature_mean", "feature_scale")):  # zeros and ones, old and new
            assert (value.numpy() == arrays[key]).all() == (key not in new), key
    assert capsys.readouterr().err.endswith(f"loaded ({len(arrays) - 6} arrays); head is new (1000 outputs)\n")


@pytest.mark.parametrize("classes", [None, 5])
def test_weights_without_them_load(source: Path, classes: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    whole = create_network("googlenet", classes)
    arrays = {key: value.numpy() for key, value in whole.state_dict().items() if key not in whole.auxiliary_state()}
    path = source.with_name("without.pdparams")
    write_weights(arrays, path)
    network = create_network("googlenet", classes)
    assert load_weights(network, path) == len(arrays)
    np.testing.assert_array_equal(network.state_dict()["_fc_out.bias"].numpy(), arrays["_fc_out.bias"])
    assert "auxiliary classifiers are new" in capsys.readouterr().err


def test_a_runs_weights_load_with_them_and_into_a_network_without(tmp_path: Path) -> None:
    trained = create_network("googlenet", 5)
    write_weights(trained.state_dict(), tmp_path / "best.pdparams")
    again = create_network("googlenet", 5)
    assert load_weights(again, tmp_path / "best.pdparams") == len(trained.state_dict())
    np.testing.assert_array_equal(
        again.state_dict()["_out1.weight"].numpy(), trained.state_dict()["_out1.weight"].numpy()
    )
    load_weights(create_network("googlenet", 5, image_size=96), tmp_path / "best.pdparams")
    create_network("googlenet", 7, pretrained=tmp_path / "best.pdparams")


def test_half_of_them_is_an_error(source: Path) -> None:
    arrays = read_weights(source)
    del arrays["_conv_o1._conv.weight"]
    path = source.with_name("half.pdparams")
    write_weights(arrays, path)
    with pytest.raises(WeightsError, match=r"1 missing \(_conv_o1\._conv\.weight\)"):
        create_network("googlenet", 5, pretrained=path)


def test_regression_has_its_targets_units_in_all_outputs(tmp_path: Path) -> None:
    network = create_network("googlenet", 2, task="regression")
    network.set_target_statistics([1000.0, -1000.0], [1.0, 1.0])
    for output in network(paddle.randn([2, 3, 224, 224])):
        np.testing.assert_allclose(output.numpy(), [[1000.0, -1000.0]] * 2, rtol=0.1)
    write_weights(network.state_dict(), tmp_path / "best.pdparams")
    load_weights(create_network("googlenet", 2, task="regression", image_size=96), tmp_path / "best.pdparams")
    create_network("googlenet", 2, image_size=96, pretrained=tmp_path / "best.pdparams")
