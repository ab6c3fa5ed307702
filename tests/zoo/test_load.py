"""Weights into networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.core.errors import WeightsError
from toolkit.zoo import create_network, load_weights, read_weights, write_weights

NAME = "mobilenet_v1_x0_25"


def changed(source: Path, **arrays: np.ndarray | None) -> Path:
    state = {**read_weights(source), **arrays}
    path = source.with_name("changed.pdparams")
    write_weights({key: value for key, value in state.items() if value is not None}, path)
    return path


def test_weights_of_paddle_load_whole(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = create_network(NAME, pretrained=source)
    for key, value in read_weights(source).items():
        np.testing.assert_array_equal(network.state_dict()[key].numpy(), value)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == f"weights: source.pdparams loaded ({len(read_weights(source))} arrays)"


def test_a_new_head_is_new_and_the_rest_loads(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = create_network(NAME, 2, pretrained=str(source))
    arrays = read_weights(source)
    assert len(network.stage_state(0))
    for i in range(len(network.stage_names)):
        for key, value in network.stage_state(i).items():
            np.testing.assert_array_equal(value.numpy(), arrays[key])
    message = capsys.readouterr().err.strip()
    assert message == f"weights: source.pdparams loaded ({len(arrays) - 2} arrays); head is new (2 outputs)"


def test_a_head_of_the_same_size_is_still_new(source: Path) -> None:
    network = create_network(NAME, 1000, pretrained=source)
    assert (network.state_dict()["fc.weight"].numpy() != read_weights(source)["fc.weight"]).any()


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(type="mlp", hidden=(8,))])
@pytest.mark.parametrize("cut", [None, "conv3_2"])
def test_weights_of_a_run_load_into_the_same_network(tmp_path: Path, head: HeadConfig, cut: str | None) -> None:
    trained = create_network(NAME, 3, head=head, cut=cut)
    write_weights(trained.state_dict(), tmp_path / "best.pdparams")
    again = create_network(NAME, 3, head=head, cut=cut)
    assert load_weights(again, tmp_path / "best.pdparams") == len(trained.state_dict())
    for key, value in trained.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(type="mlp", hidden=(8,))])
def test_a_run_is_a_source_for_another_task(tmp_path: Path, head: HeadConfig) -> None:
    trained = create_network(NAME, 3, head=head)
    write_weights(trained.state_dict(), tmp_path / "best.pdparams")
    network = create_network(NAME, 7, pretrained=tmp_path / "best.pdparams")
    np.testing.assert_array_equal(
        network.stage_state(3)["conv3_1._depthwise_conv.0.weight"].numpy(),
        trained.stage_state(3)["conv3_1._depthwise_conv.0.weight"].numpy(),
    )


def test_stages_above_a_cut_are_passed_over(source: Path) -> None:
    network = create_network(NAME, 2, pretrained=source, cut="conv2_2")
    assert set(network.stage_state(2)) <= set(read_weights(source))


def test_safetensors_load_as_well(source: Path) -> None:
    path = source.with_suffix(".safetensors")
    write_weights(read_weights(source), path)
    network = create_network(NAME, pretrained=path)
    np.testing.assert_array_equal(network.state_dict()["fc.weight"].numpy(), read_weights(source)["fc.weight"])


def test_half_precision_is_widened(source: Path) -> None:
    value = np.full((256, 1000), 1.5, "float16")
    network = create_network(NAME, pretrained=changed(source, **{"fc.weight": value}))
    assert network.state_dict()["fc.weight"].dtype == paddle.float32
    assert network.state_dict()["fc.weight"].numpy().min() == 1.5
    bfloat16 = np.full((256, 1000), 0x3FC0, "uint16")  # 1.5, as Paddle keeps it
    network = create_network(NAME, pretrained=changed(source, **{"fc.weight": bfloat16}))
    assert network.state_dict()["fc.weight"].numpy().max() == 1.5


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"conv1.0.weight": None}, r"1 missing \(conv1\.0\.weight\)"),
        ({"alien": np.ones(3)}, r"1 not expected \(alien\)"),
        (
            {"conv1.0.weight": np.ones((8, 3, 5, 5))},
            r"1 of another shape \(conv1\.0\.weight is \(8, 3, 5, 5\) in",
        ),
    ],
)
@pytest.mark.parametrize("classes", [None, 2])
def test_a_backbone_that_does_not_fit_is_named(source: Path, arrays: dict, says: str, classes: int | None) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        create_network(NAME, classes, pretrained=changed(source, **arrays))
    assert NAME in str(caught.value.hint)


def test_nothing_is_loaded_when_something_does_not_fit(source: Path) -> None:
    network = create_network(NAME)
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    with pytest.raises(WeightsError):
        load_weights(network, changed(source, alien=np.ones(2)))
    assert all((value.numpy() == before[key]).all() for key, value in network.state_dict().items())


def test_weights_of_another_network_name_the_first_keys(tmp_path: Path) -> None:
    path = tmp_path / "other.pdparams"
    write_weights(create_network("squeezenet1_1").state_dict(), path)
    with pytest.raises(WeightsError, match=r"missing \(conv1\.0\.weight, .*not expected \(_conv\.weight"):
        create_network(NAME, 2, pretrained=path)


def test_a_head_of_other_size_is_an_error_without_a_new_head(tmp_path: Path) -> None:
    path = tmp_path / "five.pdparams"
    write_weights(create_network(NAME, 5).state_dict(), path)
    with pytest.raises(WeightsError, match=r"fc\.weight is \(256, 5\) in the file") as caught:
        create_network(NAME, pretrained=path)
    assert "number of classes" in str(caught.value.hint)
