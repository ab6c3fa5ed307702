"""Labelled images, as files on disk or arrays in memory, behind one small interface."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DataError
from toolkit.data.bit_depth import DEFAULT, Decoding
from toolkit.data.channels import RGB, Pixels, fit_channels
from toolkit.data.crop import ChooseBox
from toolkit.data.decode import read_image
from toolkit.data.reduced import read_part

if TYPE_CHECKING:
    from typing_extensions import Self


Indices: TypeAlias = npt.NDArray[np.int64]
Labels: TypeAlias = npt.NDArray[Any]
"""Class indices, int64 ``[N]``; or one row per image, float32 ``[N, C]``: 0 or 1 for each label, or targets."""
Weights: TypeAlias = npt.NDArray[np.float32]
"""Weight of each image, ``[N]``, >= 0."""


class ImageSet(ABC):
    """Images, each with a class, labels, or targets.

    Attributes:
        labels: Read-only. Classification: class numbers, int64 ``[N]``. Multilabel: 0 or 1 for each label, float32
            ``[N, C]``. Regression: targets in their own units, float32 ``[N, T]``.
        channels: Channels of the images when read; 3 (RGB) unless changed by ``with_channels``.
        decoding: How files of more than 8 bits and transparency are read; ``with_decoding`` changes it.
        weights: Weight of each image in training, read-only; None if all weights are equal.
        whole: The set that this one is a ``part`` of, and the positions in it, so that what is computed once for the
            whole set serves all of its parts; None for any other set.
    """

    channels: int = RGB
    decoding: Decoding = DEFAULT
    weights: Weights | None = None
    whole: tuple[ImageSet, Indices] | None = None

    def __init__(self, labels: npt.ArrayLike) -> None:
        given = np.asarray(labels)
        rows = given.ndim == 2 and given.dtype.kind == "f"
        self.labels: Labels = np.array(given, np.float32) if rows else np.array(given, np.int64).reshape(-1)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_rows(self) -> bool:
        """Whether a picture has a row of labels or targets; else it has a class number."""
        return self.labels.dtype.kind == "f"

    @abstractmethod
    def read(self, index: int) -> Pixels:
        """Read one image, uint8 ``[height, width, channels]``.

        Raises:
            DataError: The image cannot be read, or has the wrong number of channels; the message names it.
        """

    def read_part(self, index: int, choose: ChooseBox, least: int) -> Pixels:
        """Read a region of one image, possibly at a reduced size if that is faster.

        Args:
            index: Position in this set.
            choose: Chooses the region, given the height and width of the image.
            least: Minimum number of rows and columns of the result, unless the region has fewer; >= 1.

        Returns:
            uint8 ``[height, width, channels]``; may be a view of shared pixels.

        Raises:
            DataError: As for ``read``.
        """
        pixels = self.read(index)
        return choose(*pixels.shape[:2]).cut(pixels)

    @abstractmethod
    def path(self, index: int) -> str:
        """Return a human-readable name of the image: its file, or a name like ``digits/0007``."""

    @abstractmethod
    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Self:
        """Return a subset of the images, in the given order.

        Args:
            indices: Positions, ints ``[M]`` in 0..N-1.
            labels: M new labels; by default the old ones.
        """

    def part(self, indices: npt.ArrayLike) -> Self:
        """Return a subset as ``take`` does, which remembers where it comes from (``whole``)."""
        taken = self.take(indices)
        taken.whole = (self, np.asarray(indices, np.int64))
        return taken

    def with_channels(self, channels: int) -> Self:
        """Return the same images, read with this number of channels."""
        changed = copy.copy(self)
        changed.channels, changed.whole = channels, None
        return changed

    def with_decoding(self, decoding: Decoding) -> Self:
        """Return the same images, read with these decoding settings."""
        if decoding == self.decoding:
            return self
        changed = copy.copy(self)
        changed.decoding, changed.whole = decoding, None
        return changed

    def with_weights(self, weights: npt.ArrayLike) -> Self:
        """Return the same images with weights for training.

        Args:
            weights: Finite numbers >= 0, ``[N]``.

        Raises:
            ValueError: The weights are invalid.
        """
        given = np.array(weights, np.float32)
        if given.shape != (len(self),) or not (np.isfinite(given).all() and (given >= 0).all()):
            raise ValueError(f"expected {len(self)} finite weights >= 0, not {given.shape}")
        given.setflags(write=False)
        changed = copy.copy(self)
        changed.weights = given
        return changed

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest that changes if an image, a label, a weight or the order changes (64 hex digits)."""

    @abstractmethod
    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """Return a digest of the images and their order, regardless of labels (64 hex digits).

        Args:
            content: Read every file instead of using its path, size and modification time.
        """

    def _as_here(self, taken: Self, chosen: Indices) -> Self:
        """Give a subset the channels, decoding and weights of this set."""
        taken = taken.with_channels(self.channels).with_decoding(self.decoding)
        return taken if self.weights is None else taken.with_weights(self.weights[chosen])

    def _taken_labels(self, chosen: Indices, labels: npt.ArrayLike | None) -> npt.ArrayLike:
        return self.labels[chosen] if labels is None else labels

    def _digest_of_labels(self) -> Any:
        digest = hashlib.sha256(self.labels.tobytes())
        if self.channels != RGB:
            digest.update(f"{self.channels} channels\n".encode())
        if self.weights is not None:
            digest.update(b"weights\n" + self.weights.tobytes())
        return digest


class FileImages(ImageSet):
    """Image files, decoded when they are read.

    Args:
        paths: The N files.
        labels: Class indices ``[N]``, or a row of floats for each file, ``[N, C]``.
    """

    def __init__(self, paths: Sequence[str | Path], labels: npt.ArrayLike) -> None:
        super().__init__(labels)
        self._files = tuple(map(str, paths))  # a Path takes four times the memory of its text
        if len(self._files) != len(self.labels):
            raise ValueError(f"{len(self._files)} paths, but {len(self.labels)} labels")

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files in order, as text."""
        return self._files

    @property
    def paths(self) -> Iterator[Path]:
        """Paths of the files in order."""
        return map(Path, self._files)

    def read(self, index: int) -> Pixels:
        """Read one file; see ``ImageSet.read``."""
        return read_image(self._files[index], self.channels, self.decoding)

    def read_part(self, index: int, choose: ChooseBox, least: int) -> Pixels:
        """Read a region of one file, for a JPEG possibly at a reduced size; see ``ImageSet.read_part``."""
        return read_part(self._files[index], choose, least, self.channels, self.decoding)

    def path(self, index: int) -> str:
        """Return the path of the file."""
        return self._files[index]

    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> FileImages:
        """Return a subset of the files; see ``ImageSet.take``."""
        chosen = np.asarray(indices, np.int64)
        taken = FileImages([self._files[i] for i in chosen], self._taken_labels(chosen, labels))
        return self._as_here(taken, chosen)

    def fingerprint(self) -> str:
        """Return a digest of absolute paths, sizes, modification times and labels; the files are not read."""
        digest = self._digest_of_labels()
        for path in self.paths:
            facts = path.stat()
            text = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
            digest.update(text.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """Return a digest of the files without labels; with ``content``, paths and times do not matter."""
        digest = hashlib.sha256(f"{self.channels} channels\n".encode())
        for path in self.paths:
            if content:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
                continue
            facts = path.stat()
            text = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
            digest.update(text.encode(errors="surrogateescape"))
        return digest.hexdigest()


class ArrayImages(ImageSet):
    """Images in memory, all of the same size.

    Args:
        pixels: uint8 ``[M, height, width]`` (gray) or ``[M, height, width, C]`` (3: RGB).
        labels: Class indices ``[N]``, or a row of floats for each image, ``[N, C]``.
        name: Name of the set, used by ``path``.
        rows: The rows of ``pixels`` that make up this set, ints ``[N]``; by default all. Subsets share ``pixels``.
    """

    def __init__(self, pixels: Pixels, labels: npt.ArrayLike, name: str, rows: npt.ArrayLike | None = None) -> None:
        super().__init__(labels)
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
            raise ValueError(f"pixels must be uint8 [M, H, W] or [M, H, W, C], not {pixels.dtype} {pixels.shape}")
        self.name = name
        self._pixels = pixels
        self._rows: Indices = np.arange(len(pixels)) if rows is None else np.asarray(rows, np.int64)
        if len(self._rows) != len(self.labels):
            raise ValueError(f"{len(self._rows)} images, but {len(self.labels)} labels")

    def read(self, index: int) -> Pixels:
        """Read one image; see ``ImageSet.read``."""
        try:
            return fit_channels(self._pixels[self._rows[index]].copy(), self.channels)
        except ValueError as error:
            raise DataError(f"cannot use image {self.path(index)}: {error}", hint="check model.in_channels") from error

    def path(self, index: int) -> str:
        """Return ``name/0007``, with the index of the image in the whole set."""
        digits = max(4, len(str(len(self._pixels) - 1)))
        return f"{self.name}/{int(self._rows[index]):0{digits}d}"

    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> ArrayImages:
        """Return a subset of the images; see ``ImageSet.take``."""
        chosen = np.asarray(indices, np.int64)
        taken = ArrayImages(self._pixels, self._taken_labels(chosen, labels), self.name, self._rows[chosen])
        return self._as_here(taken, chosen)

    def fingerprint(self) -> str:
        """Return a digest of pixels and labels."""
        digest = self._digest_of_labels()
        digest.update(f"{self.name}{self._pixels.shape[1:]}".encode())
        for row in self._rows:
            digest.update(self._pixels[row].tobytes())
        return digest.hexdigest()

    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """Return a digest of the pixels without labels."""
        digest = hashlib.sha256(f"{self.channels} channels {self._pixels.shape[1:]}\n".encode())
        for row in self._rows:
            digest.update(self._pixels[row].tobytes())
        return digest.hexdigest()
