"""LambdaCallback, and functions by dotted path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.callbacks import LambdaCallback, load_function
from toolkit.core.errors import ConfigError


def test_functions_are_called_with_the_arguments_of_their_hook(run: Any) -> None:
    seen: list[Any] = []
    callback = LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_end=[
            lambda epoch, logs: seen.append((epoch, logs["loss"])),
            lambda epoch, logs: seen.append(("second", epoch)),
        ],
        on_eval_end=lambda logs: seen.append(logs["loss"]),
    )
    run([callback], [0.5, 0.4])
    assert seen == ["begin", (0, 1.0), ("second", 0), 0.5, (1, 1.0), ("second", 1), 0.4]


def test_a_function_can_stop_the_training(run: Any, make_model: Any) -> None:
    model = make_model()

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    assert run([LambdaCallback(on_epoch_end=stop)], [1.0] * 5, model).epochs == [0, 1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"on_epochs_end": print}, "unknown hook on_epochs_end; known are .*did you mean on_epoch_end"),
        ({"set_model": print}, "unknown hook set_model"),
        ({"on_epoch_end": 3}, "on_epoch_end is 3; expected a function"),
        ({"on_epoch_end": [print, None]}, "on_epoch_end is None; expected a function"),
    ],
)
def test_errors(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LambdaCallback(**given)


def test_a_function_by_its_path() -> None:
    assert load_function("os.path.join", "on_epoch_end") is __import__("os").path.join


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("os.path.jion", "callbacks.functions.on_eval_end: os.path.jion: module .* has no jion — did you mean join"),
        ("os.sep", "os.sep is not a function"),
        ("nothing.of_the_kind", "no module 'nothing'"),
        ("plain", "expected package.module.function"),
    ],
)
def test_errors_of_paths(path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_function(path, "on_eval_end")


def test_a_module_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    (tmp_path / "my_hooks.py").write_text("seen = []\ndef note(epoch, logs):\n    seen.append(epoch)\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    note = load_function("my_hooks.note", "on_epoch_begin")
    run([LambdaCallback(on_epoch_begin=note)], [0.5, 0.4])
    assert note.__globals__["seen"] == [0, 1]
