"""Callbacks by dotted path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paddle.callbacks import EarlyStopping

from toolkit.callbacks import load_custom
from toolkit.core.errors import ConfigError

MODULE = """
from paddle.callbacks import Callback

class Count(Callback):
    def __init__(self, start=0):
        super().__init__()
        self.count = start
    def on_epoch_end(self, epoch, logs=None):
        self.count += 1

class Picky(Callback):
    def __init__(self):
        raise RuntimeError("not today\\nnor tomorrow")

NOT_A_CLASS = 3
"""


@pytest.fixture
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_callbacks.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "my_broken.py").write_text("1 +", encoding="utf-8")
    (tmp_path / "my_needy.py").write_text("import a_package_that_is_not_there", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_modules")
def test_a_class_of_the_user(run: Any) -> None:
    callback = load_custom("my_callbacks.Count", {"start": 5})
    run([callback], [1.0, 1.0])
    assert callback.count == 7


def test_a_class_of_paddle() -> None:
    callback = load_custom("paddle.callbacks.EarlyStopping", {"patience": 4})
    assert isinstance(callback, EarlyStopping)
    assert callback.patience == 4


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize(
    ("path", "args", "message"),
    [
        ("my_callback.Count", {}, "no module 'my_callback' — put its folder on PYTHONPATH"),
        ("json.no.Count", {}, "no module 'json.no' — put its folder on PYTHONPATH"),
        ("my_needy.Count", {}, "no module 'a_package_that_is_not_there', which my_needy imports — install"),
        ("my_broken.Count", {}, "importing my_broken failed: SyntaxError"),
        ("my_callbacks.Counter", {}, "module my_callbacks has no Counter — did you mean Count?"),
        ("my_callbacks.NOT_A_CLASS", {}, "my_callbacks.NOT_A_CLASS is not a callback"),
        ("json.JSONDecoder", {}, "json.JSONDecoder is not a callback"),
        ("my_callbacks.Count", {"begin": 1}, "cannot be created with args {'begin': 1}: TypeError"),
        ("my_callbacks.Picky", {}, "RuntimeError: not today"),
        ("Count", {}, "expected package.module.Class"),
    ],
)
def test_errors(path: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_custom(path, args)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path in str(caught.value)
