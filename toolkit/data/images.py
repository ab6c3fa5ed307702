"""Labelled pictures: files on disk, or arrays in memory, behind one small interface."""

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
"""Class numbers, int64 ``[N]``; or a row a picture, float32 ``[N, C]``: 0 or 1 for each label, or targets."""
Weights: TypeAlias = npt.NDArray[np.float32]
"""How much each picture counts, ``[N]``, >= 0."""


class ImageSet(ABC):
    """Pictures, each with its class, its labels, or its targets.

    Attributes:
        labels: Read-only. Classification: class numbers, int64 ``[N]``. Multilabel: 0 or 1 for each label, float32
            ``[N, C]``. Regression: targets in their own units, float32 ``[N, T]``.
        channels: Channels of the pictures as they are read; 3 (RGB) unless ``with_channels`` says otherwise.
        decoding: How files of more than 8 bits and transparency are read; ``with_decoding`` changes it.
        weights: How much each picture counts in training, read-only; None where all count alike.
    """

    channels: int = RGB
    decoding: Decoding = DEFAULT
    weights: Weights | None = None

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
        """Pixels of one picture, uint8 ``[height, width, channels]``.

        Raises:
            DataError: The picture cannot be read, or has another number of channels; the message names it.
        """

    def read_part(self, index: int, choose: ChooseBox, least: int) -> Pixels:
        """A part of one picture, perhaps at a reduced size, where that is faster to read.

        Args:
            index: Position in this set.
            choose: Says which part is wanted, given the picture's height and width.
            least: The part keeps at least so many rows and columns, if it has them; >= 1.

        Returns:
            uint8 ``[height, width, channels]``; may be a view of pixels that others see.

        Raises:
            DataError: As for ``read``.
        """
        pixels = self.read(index)
        return choose(*pixels.shape[:2]).cut(pixels)

    @abstractmethod
    def path(self, index: int) -> str:
        """What a person calls this picture: its file, or a name like ``digits/0007``."""

    @abstractmethod
    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Self:
        """The set of some of these pictures, in the given order.

        Args:
            indices: Positions, ints ``[M]`` in 0..N-1.
            labels: New labels, M of them; by default the old ones.
        """

    def with_channels(self, channels: int) -> Self:
        """The same pictures, read with so many channels."""
        changed = copy.copy(self)
        changed.channels = channels
        return changed

    def with_decoding(self, decoding: Decoding) -> Self:
        """The same pictures, decoded so."""
        if decoding == self.decoding:
            return self
        changed = copy.copy(self)
        changed.decoding = decoding
        return changed

    def with_weights(self, weights: npt.ArrayLike) -> Self:
        """The same pictures, which count by these weights in training.

        Args:
            weights: Finite numbers >= 0, ``[N]``.

        Raises:
            ValueError: They are not.
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
        """A digest that changes when a picture, a label, a weight or the order changes (hex, 64 digits)."""

    @abstractmethod
    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """A digest of the pictures and their order, whatever their labels are (hex, 64 digits).

        Args:
            content: Read every file, and not only its path, size and modification time.
        """

    def _as_here(self, taken: Self, chosen: Indices) -> Self:
        """Pictures taken from this set, read as here and with their weights."""
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
        paths: The files, N of them.
        labels: Class numbers ``[N]``, or a row of floats for each file, ``[N, C]``.
    """

    def __init__(self, paths: Sequence[str | Path], labels: npt.ArrayLike) -> None:
        super().__init__(labels)
        self._files = tuple(map(str, paths))  # a Path takes four times the memory of its text
        if len(self._files) != len(self.labels):
            raise ValueError(f"{len(self._files)} paths, but {len(self.labels)} labels")

    @property
    def files(self) -> tuple[str, ...]:
        """The files' paths in order, as text."""
        return self._files

    @property
    def paths(self) -> Iterator[Path]:
        """The files in order, one after the other."""
        return map(Path, self._files)

    def read(self, index: int) -> Pixels:
        """Pixels of one file; see ``ImageSet.read``."""
        return read_image(self._files[index], self.channels, self.decoding)

    def read_part(self, index: int, choose: ChooseBox, least: int) -> Pixels:
        """A part of one file, a JPEG perhaps at a reduced size; see ``ImageSet.read_part``."""
        return read_part(self._files[index], choose, least, self.channels, self.decoding)

    def path(self, index: int) -> str:
        """The file."""
        return self._files[index]

    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> FileImages:
        """Some of these files; see ``ImageSet.take``."""
        chosen = np.asarray(indices, np.int64)
        taken = FileImages([self._files[i] for i in chosen], self._taken_labels(chosen, labels))
        return self._as_here(taken, chosen)

    def fingerprint(self) -> str:
        """Digest of absolute paths, sizes, modification times and labels; the files are not read."""
        digest = self._digest_of_labels()
        for path in self.paths:
            facts = path.stat()
            text = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
            digest.update(text.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """Digest of the files without labels; by content, their place and time do not count."""
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
    """Pictures in memory, all of one size.

    Args:
        pixels: uint8 ``[M, height, width]`` (gray) or ``[M, height, width, C]`` (3: RGB).
        labels: Class numbers ``[N]``, or a row of floats for each picture, ``[N, C]``.
        name: Name of the set, used by ``path``.
        rows: Which rows of ``pixels`` these are, ints ``[N]``; by default all in order. Subsets share ``pixels``.
    """

    def __init__(self, pixels: Pixels, labels: npt.ArrayLike, name: str, rows: npt.ArrayLike | None = None) -> None:
        super().__init__(labels)
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
            raise ValueError(f"pixels must be uint8 [M, H, W] or [M, H, W, C], not {pixels.dtype} {pixels.shape}")
        self.name = name
        self._pixels = pixels
        self._rows: Indices = np.arange(len(pixels)) if rows is None else np.asarray(rows, np.int64)
        if len(self._rows) != len(self.labels):
            raise ValueError(f"{len(self._rows)} pictures, but {len(self.labels)} labels")

    def read(self, index: int) -> Pixels:
        """Pixels of one picture; see ``ImageSet.read``."""
        try:
            return fit_channels(self._pixels[self._rows[index]].copy(), self.channels)
        except ValueError as error:
            raise DataError(f"cannot use image {self.path(index)}: {error}", hint="check model.in_channels") from error

    def path(self, index: int) -> str:
        """``name/0007``: the picture's number in the whole set."""
        digits = max(4, len(str(len(self._pixels) - 1)))
        return f"{self.name}/{int(self._rows[index]):0{digits}d}"

    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> ArrayImages:
        """Some of these pictures; see ``ImageSet.take``."""
        chosen = np.asarray(indices, np.int64)
        taken = ArrayImages(self._pixels, self._taken_labels(chosen, labels), self.name, self._rows[chosen])
        return self._as_here(taken, chosen)

    def fingerprint(self) -> str:
        """Digest of pixels and labels."""
        digest = self._digest_of_labels()
        digest.update(f"{self.name}{self._pixels.shape[1:]}".encode())
        for row in self._rows:
            digest.update(self._pixels[row].tobytes())
        return digest.hexdigest()

    def pixels_fingerprint(self, *, content: bool = False) -> str:
        """Digest of the pixels without labels."""
        digest = hashlib.sha256(f"{self.channels} channels {self._pixels.shape[1:]}\n".encode())
        for row in self._rows:
            digest.update(self._pixels[row].tobytes())
        return digest.hexdigest()
