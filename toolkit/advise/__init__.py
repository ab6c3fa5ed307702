"""The advisor: which cell of the matrix a data set belongs to, which preset suits it, and the evidence."""

from toolkit.advise.advice import Advice
from toolkit.advise.advisor import advise, advise_images
from toolkit.advise.evidence import Evidence
from toolkit.advise.logme import logme
from toolkit.advise.measurement import Measurement
from toolkit.advise.networks import NetworksAdvice, advise_networks
from toolkit.advise.tables import advice_text
from toolkit.advise.thresholds import Thresholds, load_thresholds
from toolkit.advise.training import settle_preset

__all__ = [
    "Advice",
    "Evidence",
    "Measurement",
    "NetworksAdvice",
    "Thresholds",
    "advice_text",
    "advise",
    "advise_images",
    "advise_networks",
    "load_thresholds",
    "logme",
    "settle_preset",
]
