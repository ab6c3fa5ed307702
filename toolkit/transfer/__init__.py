"""Presets and the plans they resolve to: what to keep of a pretrained network, what to train, and how fast."""

from toolkit.transfer.lr_multipliers import set_multipliers
from toolkit.transfer.plan import DenseHead, PhasePlan, Plan, resolve_cut, resolve_head_stages, resolve_plan
from toolkit.transfer.presets import PRESETS, SIZES, PresetSpec, Rates, dense_lr, get_preset, spec_of
from toolkit.transfer.table import plan_table

__all__ = [
    "PRESETS",
    "SIZES",
    "DenseHead",
    "PhasePlan",
    "Plan",
    "PresetSpec",
    "Rates",
    "dense_lr",
    "get_preset",
    "plan_table",
    "resolve_cut",
    "resolve_head_stages",
    "resolve_plan",
    "set_multipliers",
    "spec_of",
]
