"""Measure images: one pass of the pretrained network over a sample, and a short pass of a random network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.advise.activations import Activations, activations
from toolkit.advise.confidence import prediction_confidence
from toolkit.advise.eligibility import some_rows, why_alike, why_unusable
from toolkit.advise.logme import logme
from toolkit.advise.measurement import NO_CLASSIFIER, Codes, Depth, Distances, Measurement, Own, Pair, Size, StageFacts
from toolkit.advise.probe import knn_score, linear_score
from toolkit.advise.request import AdviceRequest
from toolkit.advise.sample import MOST_IMAGES, sample_rows, strata_of
from toolkit.advise.store import MeasurementStore
from toolkit.config import CacheConfig
from toolkit.core.console import info, quietly, warn
from toolkit.core.errors import ToolkitError, WeightsError
from toolkit.data import BatchLoader, ImageSet
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo import StagedNetwork, create_network

STATISTICS_IMAGES = 128
"""Number of images on which to measure BatchNorm inputs; each gives thousands of values per channel."""
RANDOM_IMAGES = 200
"""Number of images for the random network."""
DEPTH_IMAGES = 500
"""Number of images for the linear probes at each stage."""
_OF_CODES, _OF_LABELS = ("knn", "probe", "logme"), ("knn", "probe", "logme", "depth")
_NOT_FINITE = "the network's outputs are not finite"


def measure(
    request: AdviceRequest,
    *,
    sample: int = MOST_IMAGES,
    seed: int = 0,
    cache: CacheConfig | None = None,
    device: str = "cpu",
    workers: int | None = None,
) -> Measurement:
    """Measure the images of a request, or read an earlier measurement.

    Args:
        request: Images, labels and network.
        sample: Maximum number of images to measure.
        seed: Seed of the sample, the folds and the random network.
        cache: Where to keep the result (``cache.dir``, folder ``advice``), and the engine to use; None: do not keep it.
        device: Paddle's name of the device.
        workers: Threads that read images, as in ``data.workers``.

    Raises:
        ToolkitError: The network, its weights or an image cannot be used.
    """
    began = time.monotonic()
    network, own = _pretrained(request)
    store = MeasurementStore(cache) if cache is not None and cache.enabled is not False else None
    key = store.key(request, network, own, sample=sample, seed=seed) if store else ""
    kept = store.read(key) if store else None
    if kept is not None:
        info(f"advice: using an earlier measurement on {kept.sample} images ({cache.dir if cache else ''})")
        return kept
    found = _MeasurementRun(request, network, own, sample, seed, cache or CacheConfig(), device, workers).run(began)
    if store:
        try:
            store.write(key, found)
        except ToolkitError as error:
            warn(f"{error.message}; it is used but not saved")
    return found


def size_of(labels: NDArray[Any] | None, count: int, classes: int, task: TaskName) -> Size:
    """Compute the size of a data set.

    Args:
        labels: Labels of all training images, or None.
        count: Number of training images.
        classes: Number of classes, labels or targets.
        task: What the labels are.
    """
    if labels is None:
        return Size(images=count, classes=0, least=count, median=count, most=count)
    counts = TASKS[task].counts(labels, classes)
    return Size(
        images=count,
        classes=classes,
        least=int(counts.min()),
        median=float(np.median(counts)),
        most=int(counts.max()),
    )


def _pretrained(request: AdviceRequest) -> tuple[StagedNetwork, bool]:
    """Return the network, and whether it has its own classifier; weights of a run with other classes have none."""
    options: dict[str, Any] = {"pretrained": request.pretrained, "in_channels": request.in_channels}
    options["image_size"] = request.preprocessing.image_size
    try:
        return create_network(request.network, None, **options), True
    except WeightsError:
        return create_network(request.network, max(2, len(request.classes)), **options), False


class _MeasurementRun:
    """One measurement in progress."""

    def __init__(
        self,
        request: AdviceRequest,
        network: StagedNetwork,
        own: bool,
        sample: int,
        seed: int,
        cache: CacheConfig,
        device: str,
        workers: int | None,
    ) -> None:
        self.request, self.network, self.own, self.seed = request, network, own, seed
        self.engine, self.device, self.workers = cache.engine, device, workers
        strata = strata_of(request.labels, len(request.images), request.task)
        self.images = request.images.take(sample_rows(strata, sample, seed))
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []

    def run(self, began: float) -> Measurement:
        request, network = self.request, self.network
        stages = network.describe(request.preprocessing.image_size)
        seen = self._activations(
            network, self.images, STATISTICS_IMAGES, f"{network.spec.name} is measuring the images"
        )
        rows = self._rows()
        return Measurement(
            network=network.spec.name,
            task=request.task,
            size=size_of(request.labels, len(request.images), len(request.classes), request.task),
            sample=len(self.images),
            stages=tuple(
                StageFacts(name=stage.name, shape=stage.shape, parameters=stage.parameters, width=codes.shape[1])
                for stage, codes in zip(stages, seen.stages, strict=True)
            ),
            depth=self._depth(seen, rows),
            codes=self._codes(seen, rows),
            batchnorm=self._batchnorm(seen),
            own=self._own(seen),
            missing=self.missing,
            notes=tuple(self.notes),
            seconds=round(time.monotonic() - began, 1),
        )

    def _activations(
        self, network: StagedNetwork, images: ImageSet, statistics: int, title: str, first: int = 0
    ) -> Activations:
        loader = BatchLoader(images, self.request.preprocessing, batch_size=16, workers=self.workers)
        return activations(
            network, loader, title=title, statistics=statistics, engine=self.engine, device=self.device, first=first
        )

    def _rows(self) -> NDArray[np.int64] | None:
        """Return the images whose labels a probe can use; None if there are too few."""
        labels, task = self.images.labels, self.request.task
        why = why_unusable(labels, task) if self.request.labelled else "the images have no labels"
        if why is not None:
            self._leave_out(_OF_LABELS, why)
            return None
        rows = TASKS[task].comparable(labels)
        alone = len(labels) - len(rows)
        if alone:
            self.notes.append(
                f"{alone} {'classes have' if alone > 1 else 'class has'} one image in the sample: "
                "how well they separate cannot be estimated, so the probes leave them out"
            )
        return rows

    def _leave_out(self, names: Sequence[str], why: str) -> None:
        self.missing.update(dict.fromkeys(names, why))

    def _depth(self, seen: Activations, rows: NDArray[np.int64] | None) -> Depth | None:
        if rows is None:
            return None
        rows, labels, why = self._some(rows, DEPTH_IMAGES, seen.stages)
        if why is not None:
            self.missing["depth"] = why
            return None
        found = [linear_score(codes[rows], labels, self.request.task, self.seed) for codes in seen.stages]
        last = found[-1].each
        return Depth(
            images=len(rows),
            chance=TASKS[self.request.task].chance(labels),
            scores=tuple(probe.score for probe in found),
            errors=tuple(probe.error for probe in found),
            each=None if last is None else tuple(round(float(part), 4) for part in last),
        )

    def _codes(self, seen: Activations, rows: NDArray[np.int64] | None) -> Codes | None:
        if rows is None:
            return None
        task = self.request.task
        rows, labels, why = self._some(rows, RANDOM_IMAGES, seen.stages[-1:])
        if why is not None:
            self._leave_out(_OF_CODES, why)
            return None
        paddle.seed(self.seed)
        spec = self.network.spec
        with quietly():
            random = create_network(spec.name, None, in_channels=self.request.in_channels)
        title = "measuring some images with a random network for comparison"
        blind = self._activations(random, self.images.take(rows), 0, title, first=len(seen.stages) - 1)
        both = [seen.stages[-1][rows], blind.stages[-1]]
        if not np.isfinite(both[1]).all():
            self._leave_out(_OF_CODES, "the outputs of a random network are not finite")
            return None
        knn, probe = ([score(codes, labels, task).score for codes in both] for score in (knn_score, linear_score))
        evidence = [logme(codes, labels, task) for codes in both]
        if not np.isfinite([*knn, *probe, *evidence]).all():
            self._leave_out(_OF_CODES, "the features are too large to compare")
            return None
        return Codes(
            images=len(rows),
            chance=TASKS[task].chance(labels),
            knn=Pair(pretrained=knn[0], random=knn[1]),
            probe=Pair(pretrained=probe[0], random=probe[1]),
            logme=Pair(pretrained=evidence[0], random=evidence[1]),
        )

    def _some(
        self, rows: NDArray[np.int64], most: int, codes: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.int64], NDArray[Any], str | None]:
        """Return some of the rows, their labels (classes from 0), and why they cannot be evaluated, or None."""
        task = self.request.task
        rows = some_rows(self.images.labels, rows, task, most, self.seed)
        labels = self.images.labels[rows]
        finite = all(np.isfinite(features[rows]).all() for features in codes)
        why = why_alike(labels, task) if finite else _NOT_FINITE
        return rows, TASKS[task].renumbered(labels), why

    def _batchnorm(self, seen: Activations) -> Distances | None:
        if not seen.distances:
            self.missing["batchnorm"] = f"{self.network.spec.name} has no BatchNorm layers"
            return None
        if not np.isfinite(seen.distances).all():
            self.missing["batchnorm"] = _NOT_FINITE
            return None
        return Distances(images=seen.seen, layers=seen.distances)

    def _own(self, seen: Activations) -> Own | None:
        if not self.own:
            self.missing["confidence"] = NO_CLASSIFIER
            return None
        if not np.isfinite(seen.outputs).all():
            self.missing["confidence"] = _NOT_FINITE
            return None
        found = prediction_confidence(seen.outputs)
        classes = seen.outputs.shape[1]
        zoom = self.request.preprocessing.image_size / self.network.spec.input_size
        return Own(
            images=len(seen.outputs), classes=classes, confidence=found.confidence, entropy=found.entropy, zoom=zoom
        )
