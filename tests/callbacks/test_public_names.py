"""The package's public names are what they were."""

from __future__ import annotations

import toolkit.callbacks


def test_public_names() -> None:
    assert toolkit.callbacks.__all__ == [
        "Checkpoint",
        "EarlyStopping",
        "MonitorCallback",
        "ReduceLROnPlateau",
        "TerminateOnNaN",
        "VisualDLLogger",
        "load_custom",
    ]
    assert sorted(toolkit.callbacks.__all__) == toolkit.callbacks.__all__
    assert all(hasattr(toolkit.callbacks, name) for name in toolkit.callbacks.__all__)
