"""The bake-off: compare ways of training on the same splits and find the best."""

from toolkit.bakeoff.bake_off import BakeOff, bake_off, compare_presets
from toolkit.bakeoff.candidates import USUAL_RECIPE, Candidate, candidate_names, named_networks
from toolkit.bakeoff.comparison import Comparison, comparison_table
from toolkit.bakeoff.session import LeftOut
from toolkit.bakeoff.statistics import Convergence, Difference
from toolkit.bakeoff.trial import Trial

__all__ = [
    "USUAL_RECIPE",
    "BakeOff",
    "Candidate",
    "Comparison",
    "Convergence",
    "Difference",
    "LeftOut",
    "Trial",
    "bake_off",
    "candidate_names",
    "compare_presets",
    "comparison_table",
    "named_networks",
]
