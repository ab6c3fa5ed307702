"""The package's public names are what they were."""

from __future__ import annotations

import toolkit.transfer


def test_public_names() -> None:
    assert toolkit.transfer.__all__ == [
        "PRESETS",
        "PhasePlan",
        "Plan",
        "PresetSpec",
        "Rates",
        "fingerprint",
        "get_preset",
        "moved",
        "plan_table",
        "resolve_cut",
        "resolve_plan",
        "set_multipliers",
    ]
    assert sorted(toolkit.transfer.__all__) == toolkit.transfer.__all__
    assert all(hasattr(toolkit.transfer, name) for name in toolkit.transfer.__all__)
