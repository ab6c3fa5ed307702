"""Mixup and cutmix: train on mixtures of two images and their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.random import Stream, generator
from toolkit.data import Batch
from toolkit.data.loading import DerivedLoader, Loader

Weigh = Callable[[NDArray[Any], NDArray[np.integer]], NDArray[np.float32]]


@dataclass(frozen=True)
class Mixing:
    """How batches are mixed.

    Each image is mixed with another one of its batch (by a random permutation), all with the same share.

    - mixup: inputs share * a + (1 - share) * b, share ~ Beta(alpha, alpha): Zhang et al., "mixup: Beyond Empirical Risk
      Minimization" (arXiv 1710.09412), section 2.
    - cutmix: a box of b, covering 1 - share of the area, pasted into a: Yun et al., "CutMix: Regularization Strategy to
      Train Strong Classifiers with Localizable Features" (arXiv 1905.04899), equations 1 and 2. The share is the
      remaining part of a.

    Labels are mixed by the same share. If images have different weights, a mixed one has weight share * w_a +
    (1 - share) * w_b, and its labels are mixed in proportion to these terms: the gradient is that of the mixture of the
    two losses.

    Attributes:
        mixup: Alpha; 0: off.
        cutmix: Alpha; 0: off. With both, each batch uses one of them at random, with equal probability.
        classes: Number of classes; None if labels are already rows of numbers.
        seed: The run's seed.
    """

    mixup: float
    cutmix: float
    classes: int | None
    seed: int = 0

    def __call__(self, batch: Batch, epoch: int, index: int, weigh: Weigh | None = None) -> Batch:
        """Mix one batch.

        Args:
            batch: Images, float32 ``[N, C, S, S]``, and their labels.
            epoch: From 0.
            index: Index of the batch in the epoch, from 0.
            weigh: Maps labels and indices to the weight of each image; by default all are equal.

        Returns:
            A new batch: ``labels`` float32 ``[N, C]``, ``indices`` of the original images, and ``weights`` if ``weigh``
            is given.
        """
        rng = generator(Stream.MIXUP, self.seed, epoch, index)
        other = rng.permutation(len(batch))
        cut = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        share = float(rng.beta(alpha, alpha))
        if cut:
            inputs, share = cut_and_paste(batch.inputs, other, share, rng)
        else:
            inputs = blend(batch.inputs, other, share)
        shares = np.full(len(batch), share, np.float32)
        weights = None
        if weigh is not None:
            own = weigh(batch.labels, batch.indices)
            brought = shares * own
            weights = brought + (1 - shares) * own[other]
            shares = np.where(weights > 0, brought / np.where(weights > 0, weights, 1), shares)
        rows = self._rows(batch.labels)
        labels = shares[:, None] * rows + (1 - shares[:, None]) * rows[other]
        return Batch(inputs, labels.astype(np.float32), batch.indices, weights)

    def _rows(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        if self.classes is None:
            return np.asarray(labels, np.float32)
        rows = np.zeros((len(labels), self.classes), np.float32)
        rows[np.arange(len(labels)), labels] = 1
        return rows


def blend(inputs: NDArray[np.float32], other: NDArray[np.integer], share: float) -> NDArray[np.float32]:
    """Blend images: share * a + (1 - share) * b; a itself if share is 1.

    Args:
        inputs: ``[N, C, S, S]``.
        other: Index of the other image for each, ``[N]``.
        share: In [0, 1].
    """
    mixed = inputs * np.float32(share)
    mixed += inputs[other] * np.float32(1 - share)
    return mixed


def cut_and_paste(
    inputs: NDArray[np.float32], other: NDArray[np.integer], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Paste a box of another image into each image, at the same position.

    Args:
        inputs: ``[N, C, H, W]``.
        other: Index of the other image for each, ``[N]``.
        share: Share of the area to keep, in [0, 1]; more may remain, as boxes are clipped at the border.
        rng: Chooses the position.

    Returns:
        The images, and the share of the area that was kept.
    """
    height, width = inputs.shape[2:]
    side = np.sqrt(1 - share)
    top, bottom = _span(height, side, rng)
    left, right = _span(width, side, rng)
    mixed = inputs.copy()
    mixed[:, :, top:bottom, left:right] = inputs[other, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    size, centre = int(length * share), int(rng.integers(length))
    begin = centre - size // 2
    return max(0, begin), min(length, begin + size)


class MixingLoader(DerivedLoader):
    """The mixed batches of a loader: identical for any number of workers, and in any process.

    Labels and positions are those of the images before mixing.

    Args:
        loader: Reads the images.
        mixing: How images are mixed.
        weigh: See ``Mixing``.
    """

    def __init__(self, loader: Loader, mixing: Mixing, weigh: Weigh | None = None) -> None:
        super().__init__(loader)
        self._mixing = mixing
        self._weigh = weigh

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        for index, batch in enumerate(self._loader, self.start):
            yield self._mixing(batch, epoch, index, self._weigh)
