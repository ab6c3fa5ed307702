"""Reports that explain a run and how far its result can be trusted."""

from toolkit.explain.calibration import Calibration, measure_calibration
from toolkit.explain.comparison_page import write_comparison
from toolkit.explain.comparison_words import comparison_statements, lead_statements
from toolkit.explain.report import write_report
from toolkit.explain.statistics import wilson_interval

__all__ = [
    "Calibration",
    "comparison_statements",
    "lead_statements",
    "measure_calibration",
    "wilson_interval",
    "write_comparison",
    "write_report",
]
