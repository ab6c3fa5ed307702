"""Runs of a newer version of the toolkit: refused in one line with both versions, and left as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.test_earlier_runs import place  # noqa: F401 - a fixture: runs of 0.1.0
from toolkit import Predictor, Trainer, __version__, load_config
from toolkit.commands import cli
from toolkit.core.digest import file_digest
from toolkit.core.errors import ConfigError, NewerError
from toolkit.core.newer import is_newer
from toolkit.engine import RunFolder
from toolkit.engine.runs.state import TrainingState, _digest

NEWER = "9.1.0"
SAID = f"was written by paddle-finetune {NEWER}, which is newer than this one ({__version__})"
Change = Callable[[RunFolder], None]


def of_newer_version(folder: RunFolder, **values: object) -> None:
    record = json.loads(folder.record.read_text(encoding="utf-8"))
    record.update(values, versions={"toolkit": NEWER})
    folder.record.write_text(json.dumps(record), encoding="utf-8")


def in_newer_format(folder: RunFolder) -> None:
    of_newer_version(folder, format=2)


def with_unknown_option(folder: RunFolder) -> None:
    of_newer_version(folder)
    folder.config.write_text(folder.config.read_text(encoding="utf-8") + "novelty: 1\n", encoding="utf-8")


def rewrite_state(folder: RunFolder, extra: dict[str, str], **plain: object) -> None:
    """Write the newest checkpoint again, with more in its metadata or its text."""
    with safe_open(folder.last, framework="numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = json.dumps({**json.loads(metadata["state"]), **plain})
    save_file(arrays, folder.last, metadata={"state": text, "digest": _digest(text, arrays), **extra})


def state_in_newer_format(folder: RunFolder) -> None:
    rewrite_state(folder, {"format": "2", "toolkit": NEWER})


def contents(folder: Path) -> dict[str, str]:
    return {str(path): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", ["train", "eval", "export", "report"])
@pytest.mark.parametrize("change", [in_newer_format, with_unknown_option])
def test_every_command_refuses_it(
    change: Change, command: str, place: Path, capfd: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    run = place / "runs" / "finished"
    change(RunFolder(run))
    before = contents(place)
    with pytest.raises(SystemExit) as caught:
        cli.main(command, [str(run)])
    assert caught.value.code == 1
    said = capfd.readouterr().err
    assert SAID in said
    assert said.count("error:") == 1
    assert contents(place) == before


@pytest.mark.parametrize("change", [in_newer_format, with_unknown_option, state_in_newer_format])
def test_it_is_not_resumed(change: Change, place: Path) -> None:  # noqa: F811
    run = place / "runs" / "interrupted"
    config = load_config(run / "config.yaml", ["train.epochs=9"])
    change(RunFolder(run))
    before = contents(run)
    trainer = Trainer.from_config(config)
    with pytest.raises(NewerError) as caught:
        trainer.fit(resume=run)
    assert SAID in caught.value.message
    assert contents(run) == before


def test_a_state_with_more_in_it_is_refused_only_if_newer(place: Path) -> None:  # noqa: F811
    folder = RunFolder(place / "runs" / "interrupted")
    rewrite_state(folder, {}, former=1)
    assert TrainingState.load(folder.last).epoch == 2
    rewrite_state(folder, {"toolkit": NEWER}, former=1)
    with pytest.raises(NewerError, match="newer"):
        TrainingState.load(folder.last)


def test_a_newer_export_is_refused(place: Path) -> None:  # noqa: F811
    path = place / "runs" / "finished" / "inference" / "inference.yml"
    text = path.read_text(encoding="utf-8").replace("format: 1", "format: 2")
    path.write_text(text.replace(f"toolkit: {__version__}", f"toolkit: {NEWER}"), encoding="utf-8")
    with pytest.raises(NewerError, match=re.escape(SAID)):
        Predictor(path.parent)


def test_a_newer_run_that_can_be_read_is_of_use(place: Path) -> None:  # noqa: F811
    folder = RunFolder(place / "runs" / "finished")
    of_newer_version(folder)
    assert load_config(folder.config).model.name == "lenet"
    with pytest.raises(ConfigError, match="epochz"):
        load_config(folder.config, ["train.epochz=1"])


@pytest.mark.parametrize(
    ("version", "newer"), [("9", True), ("0.1.0", False), ("0.0.9", False), ("?", False), (None, False)]
)
def test_versions_are_compared_by_number(version: object, newer: bool) -> None:
    assert is_newer(version) == newer
