"""What of a job lies outside of the situations that the calibration has seen."""

from __future__ import annotations

from toolkit.advise.choose import REACH, Situation, within_reach
from toolkit.advise.measurement import NO_CLASSIFIER, Measurement
from toolkit.advise.thresholds import Thresholds
from toolkit.tasks import TASKS


def outside_note(measured: Measurement, here: Situation, thresholds: Thresholds) -> str | None:
    """One line that lists all of it; None where there is nothing to list.

    Args:
        measured: The numbers.
        here: What the preset was chosen by.
        thresholds: What decided, and what stands behind it.
    """
    if thresholds.provisional:
        return None
    rule, found = thresholds.rule, []
    if measured.network not in thresholds.networks:
        found.append(f"{measured.network} (calibrated: {', '.join(thresholds.networks)})")
    if rule.kind == "branches" and not within_reach(here, rule):
        found.append(
            f"so many images (more than {REACH} times what was tried, {rule.most_images:,} in all and "
            f"{rule.most_per_class:,.0f} of the median class: the matrix decides)"
        )
    if measured.missing.get("confidence") == NO_CLASSIFIER:
        found.append("weights without ImageNet's classifier, as those of a source task of your own")
    if not TASKS[measured.task].calibrated:
        found.append(f"{measured.task} (presets were compared by top-1 accuracy, so that no expected loss is given)")
    return f"outside of what was calibrated: {'; '.join(found)}" if found else None
