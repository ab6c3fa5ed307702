"""Reading, merging and checking configurations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from toolkit.config import Config, SourceConfig, dump_config, load_config, make_config, with_overrides
from toolkit.core.errors import ConfigError

REPO = Path(__file__).resolve().parents[2]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return caught.value.message.splitlines()


def test_sections_may_be_one_word_and_the_name_is_the_files(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "birds.yaml", "model: resnet50\ntransfer: scratch\n"))
    assert (config.name, config.model.name, config.transfer.preset) == ("birds", "resnet50", "scratch")


def test_overrides_are_yaml_and_reach_into_one_word_sections(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "model: resnet50\ntransfer: finetune\n")
    config = load_config(
        path, ["model.head=mlp", "model.head.hidden=[8, 4]", "transfer.backbone_lr=1e-1", "train.lr=1e-3", "name=鸟"]
    )
    assert config.model.name == "resnet50"
    assert config.model.head.hidden == (8, 4)
    assert (config.transfer.backbone_lr, config.train.lr, config.name) == (0.1, 0.001, "鸟")


def test_base_is_relative_to_its_file_and_extended_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "base.yaml", "model: {name: resnet18, pretrained: false}\ntrain: {epochs: 3, lr: 0.1}\n")
    path = write(tmp_path / "sub" / "top.yaml", "base: ../base.yaml\nmodel: {name: vgg16}\ntrain: {epochs: 5}\n")
    config = load_config(path)
    assert (config.model.name, config.model.pretrained) == ("vgg16", False)
    assert (config.train.epochs, config.train.lr) == (5, 0.1)


def test_base_circle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "base: b.yaml\n")
    path = write(tmp_path / "b.yaml", "base: a.yaml\n")
    assert "circle" in problems(path)[0]


def test_all_problems_come_together_with_file_key_and_nearest_name(tmp_path: Path) -> None:
    text = (
        "model: {name: resnet50, pretraind: true}\ndata: {batch_size: 0}\ntransfer: {preset: linear_prob}\nloging: 1\n"
    )
    path = write(tmp_path / "a.yaml", text)
    lines = problems(path, "train.epocs=3")
    assert len(lines) == 5
    assert f"{path}: model.pretraind: unknown key; did you mean pretrained?" in lines
    assert "-o train.epocs=3: train.epocs: unknown key; did you mean epochs?" in lines
    assert any("data.batch_size" in line and "(found 0)" in line for line in lines)
    assert any("did you mean linear_probe?" in line for line in lines)
    assert any("loging" in line and "did you mean log?" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [", "not valid YAML"),
        ("model: a\nmodel: b\n", "given twice"),
        ("- 1\n", "expected `key: value` lines"),
        ("train: {epochs: 3}\n", "model: is missing"),
        ("model: a\ntransfer: {preset: finetune, variant: finetune_most}\n", "variant belongs to"),
        ("model: a\ndata: {val_fraction: 0.6, test_fraction: 0.5}\n", "must be below 1"),
        ("model: a\nname: x/y\n", "name: expected: Name of the run, without slashes"),
        ("model: a\nname: ..\n", "name: expected: Name of the run, without slashes or a leading dot"),
        ("model: a\ntrain: {device: tpu}\n", "train.device: expected: auto, cpu, gpu or gpu:k"),
        ("model: a\ncallbacks: {custom: [Mine]}\n", "`package.module.Class` (found 'Mine')"),
        ("model: a\ncallbacks: {checkpoint: {monitor: top_1}}\n", "did you mean val/top1?"),
        ("model: a\ndata: 3\n", "data: expected `key: value` lines"),
        ("model: a\ndata: {classes: 3}\n", "expected a list"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    assert words in "\n".join(problems(write(tmp_path / "a.yaml", text)))


def test_missing_file_and_bad_override(tmp_path: Path) -> None:
    assert "cannot read" in problems(tmp_path / "none.yaml")[0]
    path = write(tmp_path / "a.yaml", "model: a\n")
    assert "expected dotted.key=value" in problems(path, "epochs")[0]


def test_dump_reads_back_equal_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    text = "model: {name: resnet18, pretrained: {config: source.yaml}}\ndata: {classes: [5, 6]}\n"
    config = load_config(write(tmp_path / "configs" / "a.yaml", text), ["callbacks.early_stopping=true"])
    assert isinstance(config.model.pretrained, SourceConfig)
    assert config.model.pretrained.config == (tmp_path / "configs" / "source.yaml").resolve()
    assert config.data.classes == ("5", "6")
    assert load_config(write(tmp_path / "elsewhere.yaml", dump_config(config))) == config


def test_a_source_named_by_an_override_is_relative_to_here(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    path = write(tmp_path / "configs" / "a.yaml", "model: {name: resnet18, pretrained: {config: other.yaml}}\n")
    for override in ("model.pretrained.config=source.yaml", "model.pretrained={config: source.yaml}"):
        pretrained = load_config(path, [override]).model.pretrained
        assert isinstance(pretrained, SourceConfig)
        assert pretrained.config == Path.cwd() / "source.yaml"


def test_the_config_takes_the_monitors_that_callbacks_know(tmp_path: Path) -> None:
    from toolkit.callbacks import MonitorCallback
    from toolkit.config.callbacks import MonitorName

    assert set(get_args(MonitorName)) == set(MonitorCallback.known_monitors)
    path = write(tmp_path / "a.yaml", "model: a\ncallbacks: {early_stopping: {monitor: top5}}\n")
    stopping = load_config(path).callbacks.early_stopping
    assert stopping is not None
    assert stopping.monitor == "val/top5"


def test_callbacks_can_be_switched(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "model: a\ncallbacks: {early_stopping: true, custom: [my.Callback]}\n")
    assert load_config(path).callbacks.early_stopping is not None
    assert load_config(path).callbacks.custom[0].path == "my.Callback"
    assert load_config(path, ["callbacks.early_stopping=false"]).callbacks.early_stopping is None


def test_with_overrides_changes_a_copy_and_checks_it() -> None:
    config = make_config({"name": "a", "model": "resnet18"})
    changed = with_overrides(config, train={"epochs": 2}, seed=4)
    assert (changed.train.epochs, changed.seed, config.train.epochs) == (2, 4, None)
    with pytest.raises(ConfigError, match="epochs"):
        with_overrides(config, train={"epochs": 0})


def test_every_field_is_documented() -> None:
    from pydantic import BaseModel

    import toolkit.config

    models = [
        m
        for m in vars(toolkit.config).values()
        if isinstance(m, type) and issubclass(m, BaseModel) and m is not BaseModel
    ]
    bare = [f"{m.__name__}.{name}" for m in models for name, f in m.model_fields.items() if not f.description]
    assert not bare


WORDS = [
    "yes",
    "No",
    "on",
    "off",
    "true",
    "null",
    "~",
    "01",
    "007",
    "1e3",
    "12:30",
    "1_000",
    "0x10",
    "2024-01-31",
    ".5",
]


def test_text_is_taken_as_text_where_text_is_expected(tmp_path: Path) -> None:
    listed = ", ".join(WORDS)
    text = f"""
model: {{name: 101, head: mlp}}
name: 007
output_dir: 2024-01-31
data: {{root: 01, classes: [{listed}], label_columns: &c [1, yes], image_column: no, train_list: 12:30, val_list: null}}
train: {{class_weights: {{yes: 2, 01: 1, 5: 3}}, amp: off, resume: null, lr: 1e-3, epochs: 0x10}}
callbacks: {{custom: [{{path: mine.Thing, args: {{level: 01, often: yes}}}}], csv_logger: {{path: 2024-01-31}}}}
"""
    config = load_config(write(tmp_path / "a.yaml", text))
    assert config.data.classes == tuple(WORDS)
    assert config.data.label_columns == ("1", "yes")
    assert (config.model.name, config.name, config.output_dir) == ("101", "007", Path("2024-01-31"))
    assert (config.data.root, config.data.image_column, config.data.train_list) == (Path("01"), "no", "12:30")
    assert config.data.val_list is None
    assert config.train.class_weights == {"yes": 2, "01": 1, "5": 3}
    assert (config.train.amp, config.train.lr, config.train.epochs) == ("off", 0.001, 16)
    assert config.callbacks.custom[0].args == {"level": 1, "often": True}
    assert load_config(write(tmp_path / "b.yaml", dump_config(config))) == config


def test_a_dump_has_every_option_that_pages_name(tmp_path: Path) -> None:
    dumped = yaml.safe_load(dump_config(load_config(write(tmp_path / "a.yaml", "model: resnet18\n"))))
    assert dumped.keys() == Config.model_fields.keys()
    sections = ("model", "data", "transfer", "train", "cache", "log", "export", "callbacks")
    for name in sections:
        assert dumped[name].keys() == type(getattr(Config.model_validate(dumped), name)).model_fields.keys()
    for page in ("README.md", "docs/training.md", "docs/advisor.md", "docs/networks.md"):
        text = (REPO / page).read_text(encoding="utf-8")
        for section, key in re.findall(rf"`({'|'.join(sections)})\.(\w+)", text):
            assert key in dumped[section] or key in ("csv", "py"), f"{page}: {section}.{key}"  # or a file


@pytest.mark.parametrize(
    "word", [*WORDS, ",", "|", "#", "- ", "&", "*", "a: b", "[", "{x", "%", "@", "`", "!", "?", ">"]
)
def test_overrides_of_text_are_plain_text(tmp_path: Path, word: str) -> None:
    path = write(tmp_path / "a.yaml", "model: resnet18\n")
    data = load_config(path, [f"data.label_separator={word}", f"data.split_column={word}"]).data
    none = word in ("null", "~")
    assert (data.label_separator, data.split_column) == (None if none else word.strip(), word.strip())
    assert load_config(path, [f"data.image_column={word}"]).data.image_column == (None if none else word.strip())


def test_overrides_keep_quotes_blanks_lists_and_switches(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "model: resnet18\n")
    config = load_config(path, ["data.label_separator= ", "data.classes=[yes, 01]", "name='007'", "data.root="])
    assert (config.data.label_separator, config.data.classes, config.name) == (" ", ("yes", "01"), "007")
    assert config.data.root is None
    assert load_config(path, ['data.label_separator="\\t"']).data.label_separator == "\t"
    assert load_config(path, ["model.pretrained=@weights"]).model.pretrained == "@weights"
    assert load_config(path, ["model.pretrained=no"]).model.pretrained is False
    assert load_config(path, ["cache.enabled=off", "transfer=scratch"]).cache.enabled is False
    assert load_config(path, ["data={classes: [no, 1], format: csv}"]).data.classes == ("no", "1")
    assert load_config(path, ["train.class_weights={no: 1}"]).train.class_weights == {"no": 1}
    assert "expected text" in "\n".join(problems(path, "data.classes=[[a], b]"))
    with pytest.raises(ConfigError, match="expected text"):
        make_config({"model": "a", "name": "a", "data": {"classes": [True, False]}})
