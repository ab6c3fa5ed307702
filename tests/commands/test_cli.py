"""``paddle-finetune``: subcommands, what their first argument may name, and included configurations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.commands import app, cli
from toolkit.commands.arguments import read_config, sort_arguments
from toolkit.config import Config
from toolkit.core.console import command
from toolkit.core.errors import ConfigError
from toolkit.core.included import included_configs
from toolkit.core.runtime import environment_setting


def config_of(*words: str, target: str = "config") -> Config:
    """The config that a command's arguments name."""
    parser = app.make_parser("", target=target)
    parser.add_argument("--resume")
    args = parser.parse_intermixed_args(words)
    sort_arguments(args)
    return read_config(args, resume=args.resume)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "my: photos"
    folder.mkdir()
    return folder


def test_a_folder_of_images_is_a_job(photos: Path) -> None:
    config = config_of(str(photos), "train.epochs=5", "-o", "model.name=resnet18", "data.batch_size=4")
    assert (config.data.root, config.name, config.data.format) == (photos, "my: photos", "folder")
    assert (config.train.epochs, config.model.name, config.data.batch_size) == (5, "resnet18", 4)


def test_what_is_taken_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config_of(str(photos))
    config_of("-c", "quickstart")
    said = capsys.readouterr().err
    assert "my: photos is a folder of images" in said
    assert "quickstart.yaml" in said


def test_an_override_beats_what_the_folder_sets(photos: Path) -> None:
    assert config_of(str(photos), "name=other").name == "other"


@pytest.mark.parametrize("words", [("-c", "quickstart"), ("quickstart",), ("-c", "configs/quickstart.yaml")])
def test_included_configs_are_found_by_name(words: tuple[str, ...]) -> None:
    assert config_of(*words).data.format == "digits"


def test_a_file_of_the_user_comes_before_an_included_config(tmp_path: Path) -> None:
    Path("quickstart.yaml").write_text("name: mine\nmodel: {name: resnet18}\n", encoding="utf-8")
    assert config_of("-c", "quickstart.yaml").name == "mine"


def test_a_run_is_named_by_its_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("name: run\nmodel: {name: resnet18}\n", encoding="utf-8")
    for words in ([str(run)], [str(run / "config.yaml")], ["--resume", str(run)], ["-c", str(run)]):
        assert config_of(*words).name == "run"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "no configuration was given", "train FOLDER"),
        (["a", "b"], "two were given: a and b", "leave out one"),
        (["a", "train.epochs", "5"], "two were given", "KEY=VALUE"),
        (["quickstart", "-c", "cub200"], "two configurations", "leave out one"),
        (["nowhere"], "nowhere: no run here", ""),
        (["-c", "quickstrat"], "quickstrat", ""),
    ],
)
def test_what_names_no_job_is_refused(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(*words)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_every_command_describes_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as caught:
            cli.main(name, ["--help"])
        assert caught.value.code == 0
        shown = capsys.readouterr().out
        assert all(f"{command(name)} {words}" in shown for words in cli.COMMANDS[name].examples)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ([], 2, "COMMAND"),
        (["--help"], 0, "COMMAND"),
        (["--version"], 0, "paddle-finetune 0."),
        (["trian"], 2, "did you mean train?"),
    ],
)
def test_the_command_without_a_command(
    words: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(None, words)
    assert caught.value.code == code
    assert expected in "".join(capsys.readouterr())


def test_every_script_runs_its_command(repo: Path) -> None:
    assert {path.stem for path in (repo / "tools").glob("*.py")} == set(cli.COMMANDS)
    for path in (repo / "tools").glob("*.py"):
        assert f'main("{path.stem}")' in path.read_text(encoding="utf-8")


def test_configs_are_listed(repo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cli.main("configs", [])
    shown = capfd.readouterr().out
    assert set(included_configs()) == {path.stem for path in (repo / "configs").glob("*.yaml")}
    assert all(name in shown for name in included_configs())


@pytest.mark.parametrize("module", ["paddle", "cv2"])
def test_a_missing_build_is_one_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    code = f"import sys; sys.modules[{module!r}] = None\nfrom toolkit.commands.cli import main\nmain('models', ['x'])"
    code = code.replace("main('models', ['x'])", "main('predict', ['--network', 'resnet18', 'x.jpg'])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is not installed: pip install" in done.stderr


def test_former_names_of_settings_still_work(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("toolkit.core.runtime._renamed", set())
    monkeypatch.setenv("TOOLKIT_MIRROR", "http://old")
    assert [environment_setting("MIRROR") for _ in range(2)] == ["http://old"] * 2
    assert capfd.readouterr().err.count("TOOLKIT_MIRROR is now PADDLE_FINETUNE_MIRROR") == 1
    monkeypatch.setenv("PADDLE_FINETUNE_MIRROR", "http://new")
    assert environment_setting("MIRROR") == "http://new"
    assert capfd.readouterr().err == ""
