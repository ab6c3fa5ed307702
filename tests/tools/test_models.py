"""tools/models.py as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.commands import models as models_module
from toolkit.commands.models import models
from toolkit.core.errors import ConfigError
from toolkit.zoo import list_networks
from toolkit.zoo import profile as profile_module

TOOL = Path(__file__).resolve().parents[2] / "tools" / "models.py"


def call(*arguments: object, hidden: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the tool; ``hidden`` is a folder with modules that stand in for others."""
    path = os.pathsep.join(filter(None, [str(hidden) if hidden else "", os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


@pytest.fixture
def without_clas(tmp_path: Path) -> Path:
    """A place where PaddleClas is not installed."""
    (tmp_path / "paddleclas.py").write_text("raise ModuleNotFoundError('no paddleclas', name='paddleclas')")
    return tmp_path


def test_the_list_as_json_without_paddleclas(without_clas: Path) -> None:
    done = call("--json", hidden=without_clas)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted(network["name"] for network in found) == list_networks()
    assert set(found[0]) == {
        "name", "parameters", "macs", "stages", "input_size", "min_size", "pretrained", "top1"
    }  # fmt: skip
    clas = {network["name"]: network for network in found}["clas/PPLCNet_x1_0"]
    assert clas["parameters"] == 2_952_520


def test_a_pipe_gets_whole_lines() -> None:
    done = call("--filter", "swin")
    assert done.returncode == 0, done.stderr
    assert "clas/SwinTransformer_large_patch4_window12_384 " in done.stdout
    assert "multiply-accumulates" in done.stdout


def test_one_network() -> None:
    done = call("resnet18", "--image-size", 64, "--cut", "layer2", "--in-channels", 1, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
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


def test_a_network_of_paddleclas_without_paddleclas(without_clas: Path) -> None:
    done = call("clas/PPLCNet_x1_0", hidden=without_clas)
    assert done.returncode == 1, done.stderr
    assert "PaddleClas, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_options_that_do_not_go_together() -> None:
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
