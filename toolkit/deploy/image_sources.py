"""Image sources for predictors: files, PIL images and arrays, and lists and folders of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import paddle
from PIL import Image, ImageOps

from toolkit.core.errors import DataError
from toolkit.data import decode_image, read_image
from toolkit.data.bit_depth import DEFAULT, Decoding
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels
from toolkit.deploy.inputs import expand_images

ImageSource: TypeAlias = "str | Path | Image.Image | npt.NDArray[Any]"

_AS_THEY_ARE = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Modes of PIL that PNG supports."""
_MOST = 65535


def list_images(images: Iterable[Any] | ImageSource) -> list[Any]:
    """Return one or more images as a list, replacing folders by all images in them.

    Raises:
        DataError: A folder has no images.
    """
    array = getattr(images, "ndim", None)
    single = isinstance(images, (str, Path, Image.Image, bytes)) or array in (0, 1, 2, 3)
    try:
        sources = [images] if single else list(images)  # type: ignore[arg-type]
    except TypeError:
        sources = [images]
    return [source for item in sources for source in _opened(item)]


def _opened(source: Any) -> Sequence[Any]:
    if not isinstance(source, (str, Path)):
        return [source]
    path = Path(source).expanduser()
    return expand_images([path]) if path.is_dir() else [source]


def as_pixels(name: str, source: Any, channels: int, decoding: Decoding = DEFAULT) -> Pixels:
    """Convert an image to pixels for the network's preprocessing.

    A PIL image is handled like a file, so that its mode, orientation and transparency are treated the same.

    Args:
        name: Name of the image in messages.
        source: See ``ImagePredictor.predict``.
        channels: Channels of the model.
        decoding: How to read files of more than 8 bits, and transparency.

    Returns:
        uint8 ``[H, W, channels]``.

    Raises:
        DataError: The source cannot be read, or is not an image.
    """
    if isinstance(source, (str, Path)):
        return read_image(Path(source).expanduser(), channels, decoding)
    if isinstance(source, Image.Image):
        return _from_pil(name, source, channels, decoding)
    if isinstance(source, paddle.Tensor):
        source = source.numpy()
    if not isinstance(source, np.ndarray):
        raise DataError(
            f"{name}: expected a path, a PIL image or an array, not {type(source).__name__}",
            hint="open encoded bytes with PIL.Image.open(io.BytesIO(...))" if isinstance(source, bytes) else None,
        )
    return _from_array(name, source, channels)


def _from_pil(name: str, image: Image.Image, channels: int, decoding: Decoding) -> Pixels:
    buffer = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "F":
            upright.save(buffer, "TIFF")
        else:
            _as_png(upright).save(buffer, "PNG", compress_level=1)
        return decode_image(buffer.getvalue(), channels, decoding=decoding)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{name}: a PIL image of mode {image.mode} cannot be read: {error}") from None


def _as_png(image: Image.Image) -> Image.Image:
    """Convert an image to a mode that PNG supports."""
    if image.mode in _AS_THEY_ARE:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > _MOST:
            raise ValueError(f"values from {values.min()} to {values.max()}, expected 0 to {_MOST}")
        return Image.fromarray(values.astype(np.uint16))
    return image.convert("RGBA" if "a" in image.mode.lower() and image.mode != "LAB" else "RGB")


def _from_array(name: str, array: npt.NDArray[Any], channels: int) -> Pixels:
    layout = f"[H, W{'' if channels == GRAY else f', {channels}'}]"
    wanted = f"{'RGB ' if channels == RGB else ''}uint8 {layout}, or floats in [0, 1]"
    given, shape = f"{array.dtype} {list(array.shape)}", array.shape
    if array.ndim not in (2, 3) or not array.size:
        hint = "several images: give a list, list(images)" if array.ndim == 4 else None
        raise DataError(f"{name}: expected {wanted}, not {given}", hint=hint)
    first = array.ndim == 3 and shape[0] in (GRAY, RGB, channels) and shape[2] not in (GRAY, RGB, channels)
    if first:
        raise DataError(
            f"{name}: expected {wanted}, not {given}: its channels come first", hint="give array.transpose(1, 2, 0)"
        )
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise DataError(
                f"{name}: expected {wanted}, not {given} with values from {low:.4g} to {high:.4g}",
                hint="give the image before normalisation: the predictor does that itself",
            )
        array = np.rint(array.astype(np.float32) * 255)
    elif array.dtype != np.uint8:
        raise DataError(f"{name}: expected {wanted}, not {given}", hint="scale it to 0..255 and give uint8")
    try:
        return fit_channels(np.ascontiguousarray(array, np.uint8), channels)
    except ValueError as error:
        hint = (
            "leave out the alpha channel: array[:, :, :3]" if shape[-1] == RGB + 1 else "several images: list(images)"
        )
        raise DataError(f"{name}: expected {wanted}, not {given}: {error}", hint=hint) from None
