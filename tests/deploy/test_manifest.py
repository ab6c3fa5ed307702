"""``inference.yml`` and the files it names: everything wrong with them is said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import paddle
import pytest
import yaml

from toolkit.core.console import command
from toolkit.core.errors import DeployError
from toolkit.deploy import Manifest, Predictor


@pytest.fixture
def folder(tmp_path: Path, shared_export: Path) -> Path:
    return Path(shutil.copytree(shared_export, tmp_path / "model"))


def edit(folder: Path, **changes: object) -> None:
    values = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            del values[key]
        else:
            values[key] = value
    (folder / "inference.yml").write_text(yaml.safe_dump(values), encoding="utf-8")


def test_what_is_written_is_read(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(folder)
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert manifest.labels == ("5", "red-eyed vireo 鸟", "no", "[bold]: a, b")
    assert manifest.pipeline(folder).image_size == 32


def test_a_file_without_a_task_is_of_classification(folder: Path, images) -> None:
    expected = Predictor(folder).outputs(images)
    edit(folder, task=None)
    predictor = Predictor(folder)
    assert predictor.task == "classification"
    assert (predictor.outputs(images) == expected).all()


def test_missing_folder_or_manifest(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="is not a folder"):
        Predictor(tmp_path / "nowhere")
    with pytest.raises(DeployError, match=r"it has no inference\.yml") as caught:
        Predictor(tmp_path)
    assert "runs/<name>/inference" in str(caught.value.hint)


ALIASES = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9)
)


@pytest.mark.parametrize(
    "content", [b"a: [", b"just text", b"\xff\xfe\x00", b"", b"- 1\n- 2\n", b"a: 2024-13-01", b"a: &a [*a]", ALIASES]
)
def test_a_manifest_that_is_none(folder: Path, content: bytes) -> None:
    (folder / "inference.yml").write_bytes(content)
    with pytest.raises(DeployError, match=r"inference\.yml") as caught:
        Predictor(folder)
    assert "\n" not in str(caught.value)
    assert command("export", "RUN") in str(caught.value.hint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "labels is missing or not of type list"),
        ({"labels": []}, "has no labels"),
        ({"labels": ["a"]}, "4 outputs for 1 class names"),
        ({"image_size": "big"}, "image_size is missing or not of type int"),
        ({"format": 0}, "has format 0"),
        ({"files": {"model": {"name": "../../etc/passwd", "bytes": 1, "sha256": ""}}}, "must be a plain file name"),
        ({"files": {}}, r"files\.model\.name is missing"),
        ({"task": "multi-label"}, r"task is 'multi-label'; did you mean multilabel\?"),
        ({"task": 7}, "task is 7; known are classification, multilabel, regression"),
        ({"task": []}, r"task is \[\]"),
        ({"task": "regression"}, "task is regression, but output.is says 'softmax'"),
        ({"input": {"name": "image", "shape": [-1, 4, 32, 32]}}, "preprocessing.mean has 3 channels"),
        ({"input": {"name": "image", "shape": []}}, "preprocessing.mean has 3 channels"),
        ({"preprocessing": {"image_size": 32}}, "bad preprocessing"),
        ({"preprocessing": {"image_size": 32, "crop_ratio": 1, "mean": [0, 0, 0], "std": [1, 0, 1]}}, "bad preproc"),
        ({"preprocessing": {"image_size": 16, "crop_ratio": 1, "mean": [0, 0, 0], "std": [1, 1, 1]}}, "produces 16 px"),
    ],
)
def test_a_manifest_that_says_nonsense(folder: Path, images, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(DeployError, match=message):
        Predictor(folder).outputs(images)


@pytest.mark.parametrize("which", ["model", "params"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_files_are_noticed_before_paddle_reads_them(folder: Path, which: str, damage: str) -> None:
    path = folder / getattr(Manifest.read(folder), which).name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-10] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
    expected = {"cut": "bytes instead of", "changed": "not the file that was exported", "missing": "has no inference"}
    with pytest.raises(DeployError, match=expected[damage]):
        Predictor(folder)


def test_a_model_of_paddle_3_in_paddle_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Manifest.read(folder).model
    (folder / model.name).rename(folder / "inference.json")
    params = vars(Manifest.read(folder).params)
    edit(folder, files={"model": {**vars(model), "name": "inference.json"}, "params": params})
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(DeployError, match=r"which Paddle 2\.6\.2 cannot read"):
        Predictor(folder)


def test_a_file_without_test_time_augmentation_mirrors_nothing(folder: Path) -> None:
    edit(folder, test_time_augmentation=None)
    manifest = Manifest.read(folder)
    assert (manifest.flip, manifest.tta) == ("none", 1)


@pytest.mark.parametrize("value", ["flip", {"flip": "sideways"}, {"views": 0}, {"views": "ten"}, {"views": 65}])
def test_test_time_augmentation_that_is_not_understood(folder: Path, value: object) -> None:
    edit(folder, test_time_augmentation=value)
    with pytest.raises(DeployError, match="test_time_augmentation is"):
        Manifest.read(folder)


def test_a_file_that_says_nothing_of_its_runtime_is_run_with_onednn(folder: Path, images) -> None:
    path = folder / "inference.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content.pop("runtime") == {"onednn": True, "note": ""}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert Manifest.read(folder).onednn
    assert Predictor(folder).outputs(images).shape == (len(images), len(content["labels"]))


@pytest.mark.parametrize("value", [3, [], {"onednn": "no"}, {"onednn": None}])
def test_a_runtime_that_is_not_understood(folder: Path, value: object) -> None:
    path = folder / "inference.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**content, "runtime": value}), encoding="utf-8")
    with pytest.raises(DeployError, match="expected onednn, true or false"):
        Manifest.read(folder)
