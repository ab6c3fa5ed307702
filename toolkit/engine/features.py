"""Frozen stages computed once: their outputs on disk, and batches read from there.

The first k stages of a network are a pure function of the image as long as they are frozen and no random augmentation
comes before them. Their output (pooled, when all stages are frozen and the pooling has nothing to learn) is kept in a memory-mapped float32 file whose name
is a hash of everything it depends on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.config import CacheConfig
from toolkit.console import info, progress
from toolkit.data import Batch, BatchLoader
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, clear_os_errors
from toolkit.transfer import fingerprint
from toolkit.zoo import StagedNetwork

__all__ = ["FeatureLoader", "cached_features"]

_FORMAT = 1


def cached_features(
    network: StagedNetwork,
    frozen: int,
    loader: BatchLoader,
    cache: CacheConfig,
    title: str,
    after_batch: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Outputs of the frozen stages for every image of a set, from the cache or computed now.

    Args:
        network: The network whose first ``frozen`` stages are computed, in eval mode.
        frozen: Number of stages, >= 1.
        loader: Batches of the images in order, not augmented.
        cache: Where features are kept.
        title: Shown beside the progress bar.
        after_batch: Called after each batch that is computed; what it raises ends the work, and leaves nothing behind.

    Returns:
        ``[N, C, H, W]``, or ``[N, D]`` when they are pooled; memory-mapped, read-only.

    Raises:
        ToolkitError: The disk is full, or the cache cannot be written.
    """
    folder = cache.dir.expanduser() / _key(network, frozen, loader)
    if not (folder / "done.json").is_file():
        with clear_os_errors(f"the feature cache {folder.parent}", place="cache.dir"):
            _extract(network, frozen, loader, folder, title, after_batch)
    else:
        info(f"features of {title}: {len(loader.images)} images from the cache")
    features: NDArray[np.float32] = np.load(folder / "features.npy", mmap_mode="r")
    return features


def _key(network: StagedNetwork, frozen: int, loader: BatchLoader) -> str:
    state = {key: value for i in range(frozen) for key, value in network.stage_state(i).items()}
    facts = {
        "format": _FORMAT,
        "network": network.spec.name,
        "stage": network.stage_names[frozen - 1],
        "pooled": _pooled(network, frozen),
        "weights": fingerprint(state),
        "preprocessing": loader.preprocessing.to_dict(),
        "images": loader.images.fingerprint(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _pooled(network: StagedNetwork, frozen: int) -> bool:
    """Whether the features are what the head reads, and not the map that a pooling with weights begins from."""
    return frozen == len(network.stage_names) and network.pool_is_fixed


def _extract(
    network: StagedNetwork,
    frozen: int,
    loader: BatchLoader,
    folder: Path,
    title: str,
    after_batch: Callable[[], None],
) -> None:
    network.eval()
    count = len(loader.images)
    with atomic_folder(folder) as temporary, paddle.no_grad(), progress() as bar:
        task = bar.add_task(f"features of {title}", total=count)
        rows: NDArray[np.float32] | None = None
        for batch in loader:
            values = network.features(paddle.to_tensor(batch.inputs), frozen)
            if _pooled(network, frozen):
                values = network.pool(values)
            block = values.numpy()
            if rows is None:
                rows = _allocate(temporary / "features.npy", (count, *block.shape[1:]))
            rows[batch.indices] = block
            bar.advance(task, len(block))
            after_batch()
        if rows is None:
            raise ToolkitError(f"features of {title}: there are no images")
        rows.flush()  # type: ignore[attr-defined]
        (temporary / "done.json").write_text(json.dumps({"rows": count, "shape": rows.shape}), encoding="utf-8")
    info(f"features of {title}: {count} images computed once ({rows.nbytes / 2**20:.0f} MB in {folder.parent})")


def _allocate(path: Path, shape: tuple[int, ...]) -> Any:
    needed = int(np.prod(shape)) * 4
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise ToolkitError(
            f"the feature cache needs {needed / 2**20:.1f} MB, but {path.parent.parent} has {free / 2**20:.1f} MB left",
            hint="free some space, set cache.dir to another disk, or use cache.enabled: false",
        )
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


class FeatureLoader:
    """Batches of cached features: the same samples in the same order as a ``BatchLoader`` gives the images.

    Args:
        features: ``[N, ...]``, a row a sample of the loader's image set.
        loader: Whose batches these are.
    """

    def __init__(self, features: NDArray[np.float32], loader: BatchLoader) -> None:
        self._features = features
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (0-based) whose order comes next."""
        self._loader.set_epoch(epoch)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        labels = self._loader.images.labels
        for rows in self._loader.index_batches():
            yield Batch(np.asarray(self._features[rows]), labels[rows], rows)
