"""``transfer.preset: auto``: the advisor and the training read the same images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.advise.test_advisor import data_in, images_in
from toolkit.config import Config
from toolkit.trainer import Trainer


def test_what_there_is_to_say_of_the_data_is_said_once(
    make: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("training_set", "dev"):
        images_in(tmp_path / "set" / part, {"red": 8, "blue": 8})  # the same images: a warning
    Trainer.from_config(make(data=data_in(tmp_path / "set"), train={"epochs": 1})).fit()
    said = capsys.readouterr().err
    assert "auto selects" in said
    for words in ("data: 2 classes", "splits of", "images: 32", "identical image"):
        assert said.count(words) == 1, words
