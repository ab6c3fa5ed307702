"""The plan as people see it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from toolkit.config import TrainConfig, TransferConfig
from toolkit.core.stages import StageInfo
from toolkit.transfer import plan_table, resolve_plan

STAGES = [StageInfo(f"block{i}", (8 * (i + 1), 16, 16), 1000 * (i + 1), batch_norm=True) for i in range(4)]
SAID = "BatchNorm keeps its pretrained statistics"


def _lines(stages: list[StageInfo] = STAGES, **transfer: Any) -> list[str]:
    plan = resolve_plan(TransferConfig(**transfer), TrainConfig(), STAGES)
    console = Console(file=io.StringIO(), width=120)
    console.print(plan_table(plan, stages, head_parameters=42))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def _row(lines: list[str], stage: str) -> list[str]:
    line = next(line for line in lines if line.strip("│ ").startswith(stage))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_one_phase() -> None:
    lines = _lines(preset="last_stages", head_first=0)
    assert lines[0].strip() == "plan: last_stages"
    assert _row(lines, "block0") == ["block0", "8x16x16", "1,000", "yes", "-"]
    assert _row(lines, "block3") == ["block3", "32x16x16", "4,000", "no", "0.0001"]
    assert _row(lines, "head") == ["head", "", "42", "no", "0.001"]
    assert _row(lines, "total") == ["total", "", "10,042", "6,000", "15 epochs"]


def test_the_head_first() -> None:
    lines = _lines(preset="last_stages")
    assert any("lr: head" in line and "lr: fine-tune" in line for line in lines)
    assert _row(lines, "block0")[3:] == ["yes", "-", "-"]
    assert _row(lines, "block3")[3:] == ["in head", "-", "0.0001"]
    assert _row(lines, "total")[3:] == ["6,000", "10 epochs", "15 epochs"]
    assert any("head first, 10 epoch(s) without augmentation" in line for line in lines)


def test_two_phases_and_names_with_brackets() -> None:
    phases = [{"epochs": 1, "freeze": "all", "name": "[head]"}, {"epochs": 4, "freeze": 1}]
    lines = _lines(preset="all_stages", phases=phases)
    assert any("lr: [head]" in line and "lr: phase 2" in line for line in lines)
    assert _row(lines, "block0")[3:] == ["yes", "-", "-"]
    assert _row(lines, "block1")[3:] == ["in [head]", "-", "0.0001"]
    assert _row(lines, "total")[3:] == ["1,000", "1 epoch", "4 epochs"]


def test_cut_network_with_kept_or_all_stages() -> None:
    assert _lines(preset="shallow_probe") == _lines(STAGES[:2], preset="shallow_probe")
    lines = _lines(preset="shallow_probe")
    assert lines[0].strip() == "plan: shallow_probe, cut to 2 stages"
    assert _row(lines, "total")[2:4] == ["3,042", "3,000"]


def test_notes_are_below_the_table() -> None:
    assert "transfer.lr_decay has no effect" in _lines(preset="linear_probe", lr_decay=0.5)[-1]


def test_rates_of_head_and_backbone_are_below_the_table() -> None:
    decaying, flat = (" ".join(map(str.strip, _lines(preset="all_stages", lr_decay=decay))) for decay in (0.5, None))
    assert "fine-tune: adamw, head 0.001, backbone 0.1 of it at block3 to 0.0125 at block0" in decaying
    assert "fine-tune: adamw, head 0.001, backbone 0.1 of it at block3 down to block0" in flat


def test_what_batch_norm_does_is_said_where_stages_move() -> None:
    for wish, expected in [
        ({"preset": "all_stages"}, True),
        ({"preset": "all_stages", "batch_norm": "train"}, False),
        ({"preset": "linear_probe"}, False),
        ({"preset": "scratch"}, False),
    ]:
        assert any(SAID in line for line in _lines(**wish)) is expected


def test_nothing_is_said_of_batch_norm_where_no_layer_of_it_moves() -> None:
    for having, expected in [((), False), ((0, 1), False), ((1, 3), True)]:
        stages = [replace(stage, batch_norm=index in having) for index, stage in enumerate(STAGES)]
        assert any(SAID in line for line in _lines(stages, preset="last_stages", head_first=0)) is expected, having


def test_many_phases_are_numbered_and_named_below() -> None:
    lines = _lines(preset="all_stages", gradual_unfreezing=True)
    assert any("lr: 1" in line and "lr: 5" in line for line in lines)
    assert _row(lines, "block0")[2:] == ["in 1-4", "-", "-", "-", "-", "0.0001"]
    assert _row(lines, "block3")[2:] == ["in 1", "-", "0.0001", "0.0001", "0.0001", "0.0001"]
    assert any(line.strip().startswith("2 (unfreeze 1): adamw, head 0.001") for line in lines)
