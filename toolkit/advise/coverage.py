"""Report what the calibration does not cover."""

from __future__ import annotations

from toolkit.advise.choose import REACH, Situation, within_reach
from toolkit.advise.measurement import NO_CLASSIFIER, Measurement
from toolkit.advise.thresholds import Thresholds
from toolkit.tasks import TASKS


def coverage_note(measured: Measurement, situation: Situation, thresholds: Thresholds) -> str | None:
    """List in one line what the calibration does not cover; None if it covers everything.

    Args:
        measured: The measurement.
        situation: The inputs by which the preset was chosen.
        thresholds: The decision thresholds and their origin.
    """
    if thresholds.provisional:
        return None
    rule, found = thresholds.rule, []
    if measured.network not in thresholds.networks:
        found.append(f"{measured.network} (calibrated: {', '.join(thresholds.networks)})")
    if rule.kind == "branches" and not within_reach(situation, rule):
        found.append(
            f"the number of images (more than {REACH} times the calibrated {rule.most_images:,} in all and "
            f"{rule.most_per_class:,.0f} in the median class, so the matrix decides)"
        )
    if measured.missing.get("confidence") == NO_CLASSIFIER:
        found.append("weights without ImageNet's classifier, such as those of a custom source task")
    if not TASKS[measured.task].calibrated:
        found.append(f"{measured.task} (presets were compared by top-1 accuracy, so no expected loss is given)")
    return f"not covered by the calibration: {'; '.join(found)}" if found else None
