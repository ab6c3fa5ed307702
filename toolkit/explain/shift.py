"""A run under shift in a report: what its main metric loses on corrupted images."""

from __future__ import annotations

from typing import Any

from toolkit.data.corruptions import CORRUPTIONS
from toolkit.engine.shift import Shift, ShiftLoss
from toolkit.pages.words import lost_words, metric_words
from toolkit.tasks import METRICS


def shift_facts(shift: Shift) -> dict[str, Any]:
    """Collect the facts for ``shift_section.html``."""
    metric = METRICS[shift.metric]
    titles = {corruption.name: corruption.title for corruption in CORRUPTIONS}

    def cell(loss: ShiftLoss) -> dict[str, str]:
        value = metric_words(metric.name, loss.value)
        return {"value": value, "lost": lost_words(metric, loss.lost, loss.error)}

    return {
        "severities": shift.severities,
        "clean": metric_words(metric.name, shift.clean),
        "points": " points" if metric.share else "",
        "rows": [(titles.get(name or "", "mean"), [cell(loss) for loss in losses]) for name, losses in shift.rows()],
        "mean": cell(shift.mean),
        "passes": shift.passes,
    }
