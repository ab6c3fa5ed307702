"""Compute frozen stages once: their outputs on disk, and batches read from there.

While frozen, the first k stages of a network are a pure function of the image. Their output (pooled, if all stages are
frozen and the pooling has no weights) is kept in the feature store, under a key of everything it depends on: for the
centre crop, or for ``cache.views`` augmented views, each with the augmentation of one epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import paddle
from rich.filesize import decimal

from toolkit.cache import CacheKey, DtypeOverflowError, Features, FeatureStore, feature_bytes
from toolkit.cache.store import usable_store
from toolkit.config import CacheConfig
from toolkit.core.console import info, progress
from toolkit.core.digest import fingerprint
from toolkit.core.errors import ToolkitError
from toolkit.core.files import clear_os_errors
from toolkit.data import BatchLoader, Preprocessing
from toolkit.engine.features.extract import FeatureRows, ImageRows, Rows, extract, few_rows
from toolkit.engine.features.runners import StageSlice, Tracing, choose_engine
from toolkit.inference import Engine, TracedProgram
from toolkit.zoo import StagedNetwork


@dataclass(frozen=True)
class Request:
    """A request for features.

    Attributes:
        loader: Reads the images; its augmentation, if any, creates the views.
        title: Display name, such as ``training images``.
        views: Number of augmented views; 0 for the centre crop.
    """

    loader: BatchLoader
    title: str
    views: int = 0


class FeatureCache:
    """Features of frozen stages, from the store or computed now.

    Args:
        network: The network.
        config: Location and format of the cache, and the engine to use.
        device: Paddle's name of the device.
        after_block: Called after each block, and while another process fills the same features; an exception ends the
            work, keeping what is finished.
    """

    def __init__(
        self,
        network: StagedNetwork,
        config: CacheConfig,
        device: str = "cpu",
        after_block: Callable[[], None] = lambda: None,
    ) -> None:
        self._network = network
        self._config = config
        self._device = device
        self._after_block = after_block
        self._store = (FeatureStore if config.enabled is True else usable_store)(config.dir, config.max_size)
        self._known: dict[tuple[Any, ...], Any] = {}
        self._boundaries: tuple[int, ...] = ()
        self._programs = ExitStack()

    def fill(self, requests: Sequence[Request], boundaries: Sequence[int]) -> list[list[Features]]:
        """Features at the highest of several boundaries; lower ones are computed on the way, each from the one below.

        Args:
            requests: The features to compute.
            boundaries: Numbers of frozen stages, ascending.

        Returns:
            The open views of each request (one for the centre crop).

        Raises:
            ToolkitError: The disk is too small (raised before anything is written) or full, or an image cannot be read.
        """
        # Each image is read once, and cached images may be older than their files.
        wanted = [replace(_of_whole(request), loader=_of_whole(request).loader.uncached()) for request in requests]
        with self._afresh(boundaries):
            self._make_room(wanted, boundaries)
            filled = [self._views(request, boundaries) for request in wanted]
            return [_parts(request, views) for request, views in zip(requests, filled, strict=True)]

    def kept(self, request: Request, stages: int) -> Features | None:
        """Open features of the centre crop if they are cached for the current weights; computes nothing.

        Args:
            request: The features to open.
            stages: Number of stages already applied to them.
        """
        with suppress(ToolkitError, OSError), self._afresh((stages,)):  # removed in the meantime, or an image was
            key = self._key(_of_whole(request), 0, 0, stages)
            for candidate in (key, replace(key, dtype="float32")):  # beyond the range of float16
                entry = self._store.entry(candidate.facts())
                if entry.complete:
                    return _parts(request, [entry.open()])[0]
        return None

    @contextmanager
    def _afresh(self, boundaries: Sequence[int]) -> Iterator[None]:
        """Drop cached facts, as weights and files may have changed; programs live as long as the context."""
        self._known.clear()
        self._boundaries = tuple(boundaries)
        with ExitStack() as self._programs:
            yield

    def _views(self, request: Request, boundaries: Sequence[int]) -> list[Features]:
        below: list[Features | None] = [None] * max(1, request.views)
        for start, stop in zip((0, *boundaries), boundaries, strict=False):
            below = [self._features(request, view, start, stop, lower) for view, lower in enumerate(below)]
        return [features for features in below if features is not None]

    def _make_room(self, requests: Sequence[Request], boundaries: Sequence[int]) -> None:
        missing, stale, keys = 0, 0, set()
        for request in requests:
            for start, stages in zip((0, *boundaries), boundaries, strict=False):
                shape = self._shape(request, stages)
                for view in range(max(1, request.views)):
                    entry = self._store.entry(self._key(request, view, start, stages).facts())
                    if entry.key in keys:  # parts of one set
                        continue
                    rows = sum(map(len, entry.missing(len(request.loader.images))))
                    missing += feature_bytes(rows, shape, self._dtype(stages))
                    stale += entry.stale_bytes(len(request.loader.images)) if rows else 0
                    keys.add(entry.key)
        if missing:
            names = ", ".join(self._network.stage_names[stages - 1] for stages in boundaries)
            info(f"feature cache: {decimal(missing)} to compute, once, at {names} ({self._config.dir})")
            self._store.make_room(max(0, missing - stale), keep=sorted(keys))

    def _features(self, request: Request, view: int, start: int, stop: int, below: Features | None) -> Features:
        key = self._key(request, view, start, stop)
        try:
            return self._fill(request, view, start, stop, below, key)
        except DtypeOverflowError:
            if self._config.dtype == "float16":
                raise
            info(f"feature cache: {key.stage} has values beyond float16; kept as float32")
            return self._fill(request, view, start, stop, below, replace(key, dtype="float32"))

    def _fill(
        self, request: Request, view: int, start: int, stop: int, below: Features | None, key: CacheKey
    ) -> Features:
        count, shape = len(request.loader.images), self._shape(request, stop)
        entry = self._store.entry(key.facts())
        source: Rows = ImageRows(request.loader, view) if below is None else FeatureRows(below)
        inputs = image_shape(request.loader.preprocessing) if below is None else below.shape[1:]
        name = request.title if not request.views else f"{request.title}, view {view + 1} of {request.views}"
        with (
            clear_os_errors(f"the feature cache {self._config.dir}", place="cache.dir"),
            entry.writing(count, shape, key.dtype, self._after_block) as writer,
            progress() as bar,
        ):
            task = bar.add_task(f"features of {name}", total=sum(map(len, writer.missing)))
            for span in writer.missing:
                stage_slice, program = self._slice(start, stop, inputs, key.engine)
                with closing(extract(stage_slice, program, source, span)) as blocks:  # type: ignore[type-var]
                    for block in blocks:
                        writer.append(block)
                        bar.advance(task, len(block))
                        self._after_block()
            features = entry.open()  # while locked, so that nothing evicts it in between
        if writer.missing:
            info(f"features of {name}: {count} computed once at {key.stage} by {key.engine}")
        return features

    def _slice(
        self, start: int, stop: int, shape: tuple[int, ...], engine: str
    ) -> tuple[StageSlice, TracedProgram | None]:
        """The stages to compute, traced once for all images."""

        def trace() -> tuple[StageSlice, TracedProgram | None]:
            tracing = self._tracing(start, stop, shape)
            tracing.stage_slice.eval()
            return tracing.stage_slice, tracing.program_or_none(engine)  # type: ignore[arg-type]

        return self._once(("part", start, stop, engine), trace)

    def _tracing(self, start: int, stop: int, shape: Sequence[int]) -> Tracing:
        stage_slice = StageSlice(self._network, start, stop)
        return self._once(("tracing", start, stop), lambda: self._programs.enter_context(Tracing(stage_slice, shape)))

    def _engine(self, request: Request, start: int, stop: int) -> Engine:
        """The engine for these stages: the configured one if it agrees with dygraph."""
        loader = request.loader
        wanted = choose_engine(self._config.engine, self._device, len(loader.images))

        def compare() -> Engine:
            shape = self._shape(request, start) if start else image_shape(loader.preprocessing)
            return self._tracing(start, stop, shape).trusted(wanted, few_rows(loader, self._network, start))

        return wanted if wanted == "dygraph" else self._once(("engine", start, stop, wanted), compare)

    def _below(self, request: Request, start: int) -> str:
        """The boundary from whose features others are computed, and any fallback engines up to it."""
        if not start:
            return ""
        lower = [stop for stop in self._boundaries if stop <= start]
        engines = [self._engine(request, *pair) for pair in zip((0, *lower), lower, strict=False)]
        wanted = choose_engine(self._config.engine, self._device, len(request.loader.images))
        others = "" if set(engines) == {wanted} else f" by {', '.join(engines)}"
        return f"{self._network.stage_names[start - 1]} {self._dtype(start)}{others}"

    def _key(self, request: Request, view: int, start: int, stages: int) -> CacheKey:
        network, loader = self._network, request.loader
        pooled = network.pooled_after(stages)
        joined = network.taps if stages == len(network.stage_names) else ()
        return CacheKey(
            network=network.spec.name,
            stage=network.stage_names[stages - 1],
            pooled=pooled,
            weights=self._once(("weights", stages), lambda: self._weights(stages)),
            preprocessing={
                **loader.preprocessing.to_dict(),
                "pooling": network.pooling if pooled else "",
                **({"of": [network.stage_names[index] for index in joined]} if joined else {}),
                "opencv": cv2.__version__.partition(".")[0],  # decodes and resizes
            },
            images=self._once(("images", request.title), lambda: self._images(loader)),
            dtype=self._dtype(stages),
            engine=self._engine(request, start, stages),
            view=view + 1 if request.views else 0,
            augmentation=_facts(loader) if request.views else {},
            below=self._below(request, start),
            title=request.title,
        )

    def _once(self, key: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]

    def _images(self, loader: BatchLoader) -> str:
        return loader.images.pixels_fingerprint(content=self._config.fingerprint == "content")

    def _weights(self, stages: int) -> str:
        state = {key: value for i in range(stages) for key, value in self._network.stage_state(i).items()}
        return hashlib.sha256(json.dumps(fingerprint(state), sort_keys=True).encode()).hexdigest()

    def _dtype(self, stages: int) -> str:
        return feature_dtype(self._config, pooled=self._network.pooled_after(stages))

    def _shape(self, request: Request, stages: int) -> tuple[int, ...]:
        """Shape of one row of features."""
        return self._once(("shape", stages), lambda: self._run_once(request, stages))

    def _run_once(self, request: Request, stages: int) -> tuple[int, ...]:
        stage_slice = StageSlice(self._network, 0, stages)
        training = self._network.training
        stage_slice.eval()
        with paddle.no_grad():
            shape = tuple(stage_slice(paddle.zeros([1, *image_shape(request.loader.preprocessing)])).shape[1:])
        if training:
            self._network.train()
        return shape


def _of_whole(request: Request) -> Request:
    """The request to compute: for the centre crops of a part of a set, that of the whole set.

    Folds of a cross-validation, and the training on all images after it, then share one entry. Augmented views depend
    on an image's position in its set.
    """
    if request.views or request.loader.images.whole is None:
        return request
    return replace(request, loader=request.loader.of_whole(), title="training images")


def _parts(request: Request, views: list[Features]) -> list[Features]:
    """The rows of the requested images."""
    whole = None if request.views else request.loader.images.whole
    return views if whole is None else [features.part(whole[1]) for features in views]


def feature_dtype(config: CacheConfig, *, pooled: bool) -> str:
    """Number type on disk, ``float16`` or ``float32``: pooled features are small enough for full precision."""
    return config.dtype if config.dtype != "auto" else "float32" if pooled else "float16"


def image_shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """Shape of the network's input for one image, (C, S, S)."""
    return (preprocessing.channels, preprocessing.image_size, preprocessing.image_size)


def _facts(loader: BatchLoader) -> Mapping[str, Any]:
    """What defines an augmented view, besides the preprocessing."""
    augmentation = loader.augmentation
    if augmentation is None:
        return {}
    return {
        "level": augmentation.level,
        "flip": augmentation.flip,
        "recipe": asdict(augmentation.recipe),
        "seed": loader.seed,
        "fast_decoding": loader.fast_decoding,
    }
