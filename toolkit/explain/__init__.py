"""Explain: what a run did and how far its result can be trusted, for people."""

from toolkit.explain.calibration import Calibration, measure_calibration
from toolkit.explain.report import write_report
from toolkit.explain.statistics import wilson_interval

__all__ = ["Calibration", "measure_calibration", "wilson_interval", "write_report"]
