"""Describe preprocessing for ``inference.yml`` precisely enough to implement it with OpenCV and NumPy."""

from __future__ import annotations

from toolkit.data import Preprocessing
from toolkit.data.bit_depth import CT_WINDOW, DEPTHS, Decoding

_BACKGROUND = {"white": 255, "black": 0}


def preprocessing_steps(preprocessing: Preprocessing) -> list[str]:
    """Describe the steps from an image file to the network's input, in order.

    Args:
        preprocessing: The preprocessing.
    """
    size, resized, channels = preprocessing.image_size, preprocessing.resize_to, preprocessing.channels
    margin = (resized - size) // 2
    mean, std = ([round(value, 6) for value in values] for values in (preprocessing.mean, preprocessing.std))
    return [
        "decode: uint8 [height, width, channels], rotated by EXIF orientation (or that of TIFF, AVIF); colour "
        "profiles are ignored; first frame of an animation; palettes and CMYK become RGB",
        _depth(preprocessing.decoding),
        _alpha(preprocessing.decoding, channels),
        _colour(channels),
        "crop: side = min(height, width); keep side rows from (height - side) // 2 and side columns from "
        "(width - side) // 2",
        f"halve: while side >= {2 * resized}: drop the last row and column if side is odd, then average 2 x 2 "
        "pixels, (a + b + c + d + 2) // 4, uint8, as cv2.resize(image, (side // 2, side // 2), "
        "interpolation=cv2.INTER_AREA) does; side = side // 2",
        f"resize: if side is not {resized}, cv2.resize(image, ({resized}, {resized}), "
        "interpolation=cv2.INTER_LINEAR): bilinear between pixel centres at (i + 0.5) * side / "
        f"{resized} - 0.5, no antialiasing, rounded to uint8",
        f"centre: keep {size} rows and {size} columns from {margin} on",
        f"normalise: (x / 255 - mean) / std, float32, by channel; mean {mean}, std {std}",
        f"layout: float32 [N, {channels}, {size}, {size}], channels first",
    ]


def _depth(decoding: Decoding) -> str:
    start = "depth: 8-bit files are unchanged; "
    by_window = "x is clipped to low and high, then round((x - low) * 255 / (high - low)); NaN is low"
    if decoding.window is not None:
        return f"{start}in all others low = {decoding.window[0]:g}, high = {decoding.window[1]:g}: {by_window}"
    if decoding.bit_depth is not None:
        depth = decoding.bit_depth
        whole = f"whole numbers of more bits: clipped to 0 and {2**depth - 1}, then x >> {depth - 8}"
    else:
        whole = (
            f"whole numbers >= 0 of more bits: depth is the smallest of {', '.join(map(str, DEPTHS))} that holds the "
            "largest value of the file, and the largest that it declares (TIFF MaxSampleValue, SMaxSampleValue, "
            "BitsPerSample, PNG sBIT if the values respect it, maxval of PGM and PPM); x >> (depth - 8). With "
            f"values below 0: int8 low = -128, high = 127; not below -4096 low = {CT_WINDOW[0]}, high = "
            f"{CT_WINDOW[1]}; else the range of int16 or int32"
        )
    return (
        f"{start}{whole}. Floating point: low = 0, high = 1 if all values are in -0.1 to 1.1; low = -1, high = 1 in "
        "-1.1 to 1.1; low = 0, high = 255 in -25.5 to 280.5; low = 0, high = 2**depth - 1 above; below -25.5 as whole "
        f"numbers below 0. With low and high: {by_window}"
    )


def _alpha(decoding: Decoding, channels: int) -> str:
    if channels not in (1, 3):
        return "alpha: if the file has alpha, it is the last channel, unchanged"
    if decoding.alpha == "drop":
        return "alpha: ignored; the colours are those stored in the file"
    level = _BACKGROUND[decoding.alpha]
    return (
        f"alpha: transparency (alpha, tRNS, GIF) is blended with {decoding.alpha}: "
        f"(colour * alpha + {level} * (255 - alpha) + 127) // 255"
    )


def _colour(channels: int) -> str:
    if channels == 1:
        return (
            "colour: one channel; RGB becomes 0.299 R + 0.587 G + 0.114 B, rounded, as cv2.cvtColor(image, "
            "cv2.COLOR_RGB2GRAY) does"
        )
    if channels == 3:
        return "colour: red, green, blue, in this order (cv2.imread gives blue first); gray is repeated three times"
    return f"colour: the {channels} channels of the file, in its order"
