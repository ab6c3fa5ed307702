"""Engines are compared with dygraph before use: one that differs or crashes falls back, and is remembered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from tests.odd_networks import Deadly, Right, Wrong
from toolkit.core.errors import DeployError
from toolkit.inference import Comparison, Engine, TracedProgram, failure_of, save_program, structure_of, trusted_engine
from toolkit.inference import trust as trust_module
from toolkit.inference.trial import Trial, TrialError
from toolkit.inference.verdicts import Known, Verdicts, key_of

SIZE = 32
KNOWN_BAD = paddle.__version__ == "3.3.1"
"""Of which it is known what goes wrong; others are held to the right result only."""


@pytest.fixture(autouse=True)
def _told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_module, "_said", set())


@pytest.fixture
def verdicts(tmp_path: Path) -> Verdicts:
    return Verdicts(tmp_path / "cache" / "engines.json")


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Comparison]:
    def make(layer: nn.Layer, weights: str = "first") -> Comparison:
        folder = tmp_path / f"program-{weights}"
        folder.mkdir(exist_ok=True)
        rows = np.random.default_rng(0).normal(size=(4, 3, SIZE, SIZE)).astype(np.float32)

        def program(engine: Engine) -> TracedProgram:
            return TracedProgram(engine, save_program(layer, folder, (3, SIZE, SIZE)))

        return Comparison(type(layer).__name__, layer, structure_of(layer), lambda: weights, lambda: rows, program)

    return make


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("it is known already")


@pytest.mark.parametrize("kind", [Wrong, Deadly], ids=["differs", "dies"])
def test_an_engine_that_differs_or_crashes_falls_back_and_is_remembered(
    kind: type[nn.Layer], compare: Any, verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    paddle.seed(0)
    comparison = compare(kind())
    engine = trusted_engine("paddle", comparison, verdicts)
    said = capsys.readouterr().err
    if KNOWN_BAD:
        assert engine == "paddle without oneDNN"
        assert said.count("\n") == 1
        assert f"{kind.__name__}: Paddle Inference with oneDNN {'is off by' if kind is Wrong else 'crashes'}" in said
        assert "computed by Paddle Inference without oneDNN" in said
    found = comparison.make(engine).load(1)(comparison.inputs)
    np.testing.assert_allclose(found, comparison.reference[0][:-1], atol=1e-4)
    monkeypatch.setattr(trust_module, "_outputs", forbidden)
    again = compare(comparison.layer)
    assert trusted_engine("paddle", again, Verdicts(verdicts.path)) == engine
    assert capsys.readouterr().err == ""  # reported once


def test_other_weights_are_compared_in_this_process(
    compare: Any, verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    layer = Right()
    assert trusted_engine("paddle", compare(layer), verdicts) == "paddle"
    monkeypatch.setattr(trust_module, "Trial", forbidden)
    assert trusted_engine("paddle", compare(layer, "second"), verdicts) == "paddle"
    assert failure_of("paddle", compare(layer, "third"), verdicts) == ""
    (known,) = [verdicts.find(key) for key in json.loads(verdicts.path.read_text())["known"]]
    assert known is not None
    assert set(known.differences) == {"first", "second"}
    broken = Right()
    broken.convolution.bias.set_value(np.full(4, np.nan, "float32"))
    assert trusted_engine("paddle", compare(broken, "broken"), Verdicts(verdicts.path)) == "dygraph"
    assert "Right: dygraph's own outputs are not finite, so engines cannot be compared" in capsys.readouterr().err
    assert trusted_engine("paddle", compare(layer, "second"), verdicts) == "paddle"  # the engine was not at fault


def test_what_is_wrong_with_some_weights_is_not_trusted_with_others(compare: Any, verdicts: Verdicts) -> None:
    comparison = compare(Right())
    for engine in ("paddle", "onnx"):
        verdicts.add(key_of(engine, comparison.structure), Known("", differences={"others": 0.5}))
    assert failure_of("paddle", comparison, verdicts) == "is off by 0.5 of the largest output"
    verdicts.add(key_of("paddle without oneDNN", comparison.structure), Known("", differences={"first": 1e-6}))
    assert trusted_engine("onnx", comparison, verdicts) == "paddle without oneDNN"


def test_a_network_that_cannot_be_traced_and_engines_that_cannot_be_tried(
    compare: Any, verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    comparison = compare(Right())
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert trusted_engine("paddle", comparison, verdicts) == "dygraph"
    assert "could not be tried: no process could be started; computed by dygraph" in capsys.readouterr().err
    assert not verdicts.path.exists()  # another process may succeed
    monkeypatch.undo()

    def refuse(_: Engine) -> TracedProgram:
        raise DeployError("cannot convert /tmp/toolkit-abc/part.onnx")

    comparison = compare(Wrong())
    comparison.make = refuse
    assert trusted_engine("paddle", comparison, verdicts) == "dygraph"
    assert "and Paddle Inference without oneDNN refuses: cannot convert part.onnx" in capsys.readouterr().err


def test_a_process_that_does_not_end_is_abandoned(compare: Any) -> None:
    comparison = compare(Right())
    with Trial() as trial, pytest.raises(TrialError, match="did not finish") as caught:
        trial.run(comparison.make("paddle"), comparison.inputs, limit=0.01)
    assert not caught.value.lasting
    assert trial._process is not None
    assert trial._process.poll() is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "known": [1]}',
        b'{"format": 1, "known": {"KEY": 3}}',
        b'{"format": 1, "known": {"KEY": {"about": "", "failure": null, "differences": {}}}}',
        b'{"format": 1, "known": {"KEY": {"about": "", "failure": "", "differences": {"first": "0"}}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_memory_is_ignored(content: bytes, compare: Any, verdicts: Verdicts) -> None:
    key = key_of("paddle", compare(Right()).structure)
    verdicts.path.parent.mkdir()
    verdicts.path.write_bytes(content.replace(b"KEY", key.encode()))
    assert verdicts.find(key) is None
    verdicts.add(key, Known("a network", differences={"first": 0.0}))
    assert Verdicts(verdicts.path).find(key) == Known("a network", differences={"first": 0.0})


def test_a_memory_that_cannot_be_written_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    verdicts = Verdicts(tmp_path / "file" / "engines.json")
    with verdicts.alone():
        verdicts.add("key", Known("a network"))
    assert verdicts.find("key") == Known("a network")  # this process does not try again


def test_the_memory_stays_small(verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.inference.verdicts._MOST", 3)
    for number in range(5):
        verdicts.add(str(number), Known("", differences={str(weights): 0.0 for weights in range(100)}))
    assert [verdicts.find(str(number)) is not None for number in range(5)] == [False, False, True, True, True]
    known = verdicts.find("4")
    assert known is not None
    assert len(known.differences) == 20
    assert "99" in known.differences
