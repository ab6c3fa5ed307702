"""Test-time augmentation: average the predictions for several views of an image, as probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks import Activation, sigmoid, softmax

_Rows = NDArray[np.floating]
_TINY = 1e-12


def mean_outputs(outputs: Sequence[NDArray[np.float32]], activation: Activation) -> NDArray[np.float32]:
    """Outputs whose activation is the mean of the given outputs' activations.

    Args:
        outputs: Outputs of each view ``[N, C]``, before the activation; at least one view.
        activation: The task's. With ``none`` (regression) the values themselves are averaged.

    Returns:
        ``[N, C]``; for a single view, its outputs unchanged.
    """
    if len(outputs) == 1:
        return outputs[0]
    activate, back = _AVERAGED[activation]
    mean = np.mean([activate(view_outputs.astype(np.float64)) for view_outputs in outputs], axis=0)
    return back(mean).astype(np.float32)


def _logarithms(means: _Rows) -> _Rows:
    return np.log(np.maximum(means, _TINY))


def _log_odds(means: _Rows) -> _Rows:
    inside = np.clip(means, _TINY, 1 - _TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside))


_AVERAGED: Mapping[Activation, tuple[Callable[[_Rows], _Rows], Callable[[_Rows], _Rows]]] = MappingProxyType(
    {"softmax": (softmax, _logarithms), "sigmoid": (sigmoid, _log_odds), "none": (np.asarray, np.asarray)}
)
"""Activation -> the function to average over, and its inverse."""
