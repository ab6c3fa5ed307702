"""What ``callbacks`` may say."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.config import CallbacksConfig, make_config
from toolkit.core.errors import ConfigError


def callbacks(**sections: Any) -> CallbacksConfig:
    return make_config({"name": "a", "model": "resnet18", "callbacks": sections}).callbacks


def test_one_section_or_a_list_of_them() -> None:
    assert callbacks().model_checkpoint == ()
    assert callbacks(model_checkpoint=False).model_checkpoint == ()
    assert [each.pattern for each in callbacks(model_checkpoint=True).model_checkpoint] == ["{epoch:03d}.pdparams"]
    assert [each.pattern for each in callbacks(model_checkpoint="{step}").model_checkpoint] == ["{step}.pdparams"]
    several = callbacks(model_checkpoint=[{"every_steps": 9}, "{epoch}-{val/loss:.2f}.safetensors"]).model_checkpoint
    assert [each.pattern for each in several] == ["{step:06d}.pdparams", "{epoch}-{val/loss:.2f}.safetensors"]


def test_functions_one_or_several_a_hook() -> None:
    given = {"on_epoch_end": "a.b", "on_eval_end": ["a.b", "a.c"]}
    assert callbacks(functions=given).functions == {"on_epoch_end": ("a.b",), "on_eval_end": ("a.b", "a.c")}


def test_log_files_can_be_switched_and_named() -> None:
    assert callbacks(csv_logger=True).csv_logger is not None
    assert callbacks(jsonl_logger=False).jsonl_logger is None
    named = callbacks(csv_logger="a/b.csv").csv_logger
    assert named is not None
    assert named.path == "a/b.csv"


def test_the_best_epoch_follows_the_stop_that_restores_it() -> None:
    stop = {"monitor": "macro_f1", "mode": "max", "restore_best": True}
    assert callbacks(early_stopping=stop).deciding.monitor == "val/macro_f1"
    assert callbacks(early_stopping=stop, checkpoint={"monitor": "loss"}).deciding.monitor == "val/loss"
    assert callbacks(early_stopping={**stop, "restore_best": False}).deciding.monitor is None


def test_averages_are_watched_where_there_are_some() -> None:
    watched = callbacks(early_stopping={"monitor": "avg_top1"}, weight_averaging=True).early_stopping
    assert watched is not None
    assert watched.monitor == "val/avg_top1"
    with pytest.raises(ConfigError, match=r"val/avg_top1 is not a metric .*callbacks\.weight_averaging"):
        callbacks(early_stopping={"monitor": "avg_top1"})


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model_checkpoint": {"path": "../{epoch}"}}, "leads out of the run's folder"),
        ({"model_checkpoint": {"path": "{val_loss}"}}, "did you mean {val/loss}?"),
        ({"model_checkpoint": {"path": "{epoch}-{val/r2}"}}, "val/r2 is not a metric of classification"),
        ({"model_checkpoint": {"monitor": "mae"}}, "val/mae is not a metric of classification"),
        ({"model_checkpoint": {"every_steps": 3, "every_epochs": 2}}, "use only one of them"),
        ({"model_checkpoint": {"every_steps": 3, "keep_best": 2}}, "leave out every_steps"),
        ({"model_checkpoint": {"every_step": 3}}, "unknown key; did you mean every_steps?"),
        ({"model_checkpoint": {"keep_last": 0}}, "greater than or equal to 1"),
        ({"model_checkpoint": [{"keep_best": 2}, {"path": "same", "keep_best": 2}]}, "add {epoch} or {step} to it"),
        ({"csv_logger": "../a.csv"}, "leads out of the run's folder"),
        ({"jsonl_logger": "metrics.jsonl"}, "written by the run itself"),
        ({"csv_logger": "a/"}, "is not a file name"),
        ({"functions": {"on_epochs_end": "a.b"}}, "did you mean on_epoch_end?"),
        ({"functions": {"when_done": "a.b"}}, "known: on_train_begin"),
        ({"functions": {"on_epoch_end": "plain"}}, "expected package.module.function (found 'plain')"),
        ({"functions": {"on_epoch_end": [3]}}, "found 3"),
        ({"functions": ["a.b"]}, "`hook: package.module.function` lines"),
        ({"early_stopping": {"baseline": ".nan"}}, "number"),
        ({"early_stopping": {"start_epoch": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_is_refused(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        callbacks(**sections)
    assert words in str(caught.value)
    assert f"callbacks.{next(iter(sections))}" in str(caught.value) or "is not a metric" in words
