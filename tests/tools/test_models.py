"""tools/models.py as a user calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.commands import models as models_module
from toolkit.commands.models import models
from toolkit.core.errors import ConfigError
from toolkit.zoo import list_networks
from toolkit.zoo import profile as profile_module

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def without_clas(monkeypatch: pytest.MonkeyPatch) -> None:
    """PaddleClas cannot be imported."""
    monkeypatch.setitem(sys.modules, "paddleclas", None)


@pytest.mark.usefixtures("without_clas")
def test_the_list_as_json_without_paddleclas(run_here: Run) -> None:
    code, out, err = run_here("models", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert sorted(network["name"] for network in found) == list_networks()
    assert set(found[0]) == {
        "name", "parameters", "macs", "stages", "input_size", "min_size", "pretrained", "top1"
    }  # fmt: skip
    clas = {network["name"]: network for network in found}["clas/PPLCNet_x1_0"]
    assert clas["parameters"] == 2_952_520


def test_a_pipe_gets_whole_lines(run_here: Run) -> None:
    code, out, err = run_here("models", "--filter", "swin")
    assert code == 0, err
    assert "clas/SwinTransformer_large_patch4_window12_384 " in out
    assert "multiply-accumulates" in out


def test_one_network(run_here: Run) -> None:
    code, out, err = run_here("models", "resnet18", "--image-size", 64, "--cut", "layer2", "--in-channels", 1, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    assert (found["name"], found["image_size"], found["in_channels"]) == ("resnet18", 64, 1)
    assert [stage["name"] for stage in found["stages"]] == ["stem", "layer1.0", "layer1.1", "layer2.0", "layer2.1"]
    assert found["stages"][-1]["shape"] == [128, 8, 8]
    assert found["stages"][-1]["receptive_field"] == [99, 99]
    assert found["head"]["receptive_field"] is None
    assert found["total"]["parameters"] == sum(part["parameters"] for part in [*found["stages"], found["head"]])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("resnet51",), 2, "unknown network 'resnet51'; did you mean resnet50"),
        (("ResNet50",), 2, "unknown network 'ResNet50'; did you mean resnet50 or clas/ResNet50"),
        (("lenet", "--image-size", 8), 1, "at least 28"),
        (("lenet", "--cut", "conv7"), 1, "did you mean conv2 or conv1?"),
        (("--filter", "resmet"), 1, "did you mean"),
        (("lenet", "--filter", "vgg"), 2, "--filter is for the list, not for one network"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: tuple[object, ...], code: int, words: str, call_here: Callable[..., tuple[int, str]]
) -> None:
    found, said = call_here("models", *arguments)
    assert found == code
    assert words in said
    assert said.startswith("error: ")


@pytest.mark.usefixtures("without_clas")
def test_a_network_of_paddleclas_without_paddleclas(run_here: Run) -> None:
    code, out, err = run_here("models", "clas/PPLCNet_x1_0")
    assert (code, out) == (1, "")
    assert "PaddleClas, which is not installed" in err


def test_incompatible_options() -> None:
    with pytest.raises(ConfigError, match="--cut and --in-channels are for one network, whose name is missing"):
        models(cut="layer1", in_channels=1)
    with pytest.raises(ConfigError, match="--pretrained is for the list"):
        models("lenet", pretrained=True)


def test_a_cut_may_be_a_number() -> None:
    assert [stage["name"] for stage in models("lenet", cut="2").json["stages"]] == ["conv1", "conv2"]


def test_the_list_builds_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr(profile_module, "create_network", refuse)
    monkeypatch.setattr(models_module, "profile_network", refuse)
    assert len(models().json) == len(list_networks())


@pytest.mark.parametrize(
    ("network", "headers"), [(None, ("params", "GMAC", "weights")), ("lenet", ("output", "MMAC", "sees", "MB kept"))]
)
def test_a_legend_explains_the_columns(network: str | None, headers: tuple[str, ...]) -> None:
    outcome = models(network)
    legend = "\n".join(text for text in outcome.text if isinstance(text, str))
    for header in headers:
        assert f"\n{header}" in f"\n{legend}"
        assert header in [column.header for column in outcome.text[0].columns]
