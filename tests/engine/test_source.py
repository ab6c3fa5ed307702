"""Transfer from the user's own source task, and presets compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.bakeoff import compare_presets
from toolkit.config import Config, dump_config
from toolkit.core.errors import ConfigError, NetworkError
from toolkit.engine import Trainer, build_job, prepare_job
from toolkit.zoo import read_weights

Make = Callable[..., Config]


def write_source(make: Make, path: Path, **sections: object) -> Path:
    source = make(
        name="source",
        model={"pretrained": False},
        transfer={"preset": "scratch"},
        data={"classes": ["0", "1"]},
        train={"epochs": 1},
        **sections,
    )
    path.write_text(dump_config(source), encoding="utf-8")
    return path


def test_the_source_is_trained_once_and_its_backbone_is_reused(make: Make, tmp_path: Path) -> None:
    config = make(model={"pretrained": {"config": str(write_source(make, tmp_path / "source.yaml"))}})
    job = prepare_job(config)
    best = tmp_path / "runs" / "source" / "checkpoints" / "best.pdparams"
    trained = read_weights(best)
    state = job.network.state_dict()
    assert all(np.array_equal(trained[key], state[key].numpy()) for key in trained if not key.startswith("fc."))
    assert tuple(state["fc.weight"].shape) == (128, 3)
    before = best.stat().st_mtime_ns
    prepare_job(config)
    assert best.stat().st_mtime_ns == before
    assert not (tmp_path / "runs" / "source-2").exists()


def test_a_source_with_another_config_is_another_run(make: Make, tmp_path: Path) -> None:
    path = write_source(make, tmp_path / "source.yaml")
    config = make(model={"pretrained": {"config": str(path)}})
    prepare_job(config)
    write_source(make, path, seed=5)
    job = prepare_job(config)
    assert "source-2" in job.weights


def test_a_source_of_another_network_is_refused(make: Make, tmp_path: Path) -> None:
    path = write_source(make, tmp_path / "source.yaml")
    config = make(model={"name": "mobilenet_v2", "pretrained": {"config": str(path)}})
    with pytest.raises(NetworkError, match="trains resnet18"):
        prepare_job(config)


def test_presets_are_compared(make: Make, tmp_path: Path) -> None:
    path = write_source(make, tmp_path / "source.yaml")
    config = make(
        model={"pretrained": {"config": str(path)}},
        transfer={"preset": "linear_probe", "compare": ["scratch"], "compare_seeds": 2},
        train={"epochs": 1},
    )
    result = Trainer(prepare_job(config)).fit()
    rows = compare_presets(config, result)
    assert [row.preset for row in rows] == ["linear_probe", "scratch"]
    assert all(len(row.scores) == 2 for row in rows)
    assert rows[0].scores[0] == result.best["top1"]
    assert rows[0].trainable < rows[1].trainable
    runs = {run.name for run in (result.folder.path / "compare").iterdir()}
    assert runs == {"linear_probe-seed1", "scratch-seed0", "scratch-seed1"}


def test_the_record_names_the_whole_ancestry(make: Make, tmp_path: Path) -> None:
    first = write_source(make, tmp_path / "source.yaml")
    second = make(name="second", model={"pretrained": {"config": str(first)}}, data={"classes": ["2", "3"]})
    middle = Trainer(prepare_job(second)).fit()
    last = Trainer.from_config(make(name="last", model={"pretrained": str(middle.folder.best)})).fit()
    ancestry = last.folder.read_record()["ancestry"]
    assert [entry["name"] for entry in ancestry] == ["source", "second"]
    assert [entry["data"]["classes"] for entry in ancestry] == [["0", "1"], ["2", "3"]]
    assert ancestry[0]["weights"] == "random"
    assert ancestry[1]["result"]["top1"] == middle.best["top1"]
    assert ancestry[1]["run_dir"] == str(middle.folder.path)


def test_weights_that_come_from_no_run_have_no_ancestry(make: Make) -> None:
    assert prepare_job(make()).ancestry == ()


def test_a_job_is_not_built_before_its_source_is_trained(make: Make, tmp_path: Path) -> None:
    config = make(model={"pretrained": {"config": str(write_source(make, tmp_path / "source.yaml"))}})
    with pytest.raises(ConfigError, match=r"source task of .* is not trained yet"):
        build_job(config)
    assert not (tmp_path / "runs").exists()
