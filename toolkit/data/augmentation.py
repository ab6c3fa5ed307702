"""Random augmentation of training images, on uint8 pixels with OpenCV.

Random-resized-crop after Szegedy et al., "Going deeper with convolutions" (arXiv:1409.4842, section 6); random erasing
after Zhong et al. (arXiv:1708.04896). How far a change may go without altering the class depends on the content of the
image: each recipe is a row of ``RECIPES``. Crops, flips, rotations and erasing work on any number of channels. Colour
changes apply to RGB; gray images get only brightness and contrast, and other channels (bands, alpha) are not changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import mul
from types import MappingProxyType
from typing import Literal, TypeAlias

import cv2
import numpy as np

from toolkit.data.channels import GRAY, RGB, Pixels
from toolkit.data.crop import Box
from toolkit.data.preprocessing import Preprocessing, resize

Flip: TypeAlias = Literal["none", "horizontal", "both"]
Content: TypeAlias = Literal["photo", "tiny", "glyph"]


@dataclass(frozen=True)
class Recipe:
    """How far random changes go.

    Attributes:
        area: Smallest fraction of the image's area that a crop keeps, in (0, 1].
        ratio: Largest change of the aspect ratio, >= 1; drawn log-uniformly from 1/ratio..ratio.
        light: Largest relative change of brightness and of contrast, in [0, 1).
        colour: Largest relative change of saturation, and half of it for each channel's gain, in [0, 1).
        rotation: Largest rotation, degrees.
        erase: Probability of erasing a rectangle, in [0, 1].
    """

    area: float
    ratio: float
    light: float = 0.0
    colour: float = 0.0
    rotation: float = 0.0
    erase: float = 0.0


RECIPES: Mapping[tuple[str, str], Recipe] = MappingProxyType(
    {
        # Photographs: the object is somewhere in the image, often large.
        ("photo", "standard"): Recipe(area=0.35, ratio=4 / 3, light=0.2, colour=0.2),
        ("photo", "strong"): Recipe(area=0.15, ratio=4 / 3, light=0.4, colour=0.4, rotation=15, erase=0.25),
        # Images of about 32 px: what a crop removes is lost.
        ("tiny", "standard"): Recipe(area=0.6, ratio=4 / 3, light=0.1, colour=0.1),
        ("tiny", "strong"): Recipe(area=0.4, ratio=4 / 3, light=0.3, colour=0.3, rotation=10, erase=0.25),
        # Digits and letters fill the image: half of an 8 is a 0 or a 3.
        ("glyph", "standard"): Recipe(area=0.85, ratio=1.1, light=0.1),
        ("glyph", "strong"): Recipe(area=0.75, ratio=1.2, light=0.2, rotation=12, erase=0.1),
    }
)
_ERASED_AREA = (0.02, 0.15)
_CROP_TRIES = 10
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """Random crop, flip, colour, rotation and erasing.

    Attributes:
        level: ``none`` (resize and centre crop only), ``standard`` or ``strong``.
        image_size: Side of the square output, pixels.
        flip: ``none``, ``horizontal`` (left-right) or ``both``; each flip has probability 0.5.
        content: What the images show: ``photo``, ``tiny`` or ``glyph``; together with ``level`` it selects the recipe.
        crop_ratio: As in ``Preprocessing``; used by level ``none``.
    """

    level: str
    image_size: int
    flip: Flip = "horizontal"
    content: Content = "photo"
    crop_ratio: float = 0.875

    def __post_init__(self) -> None:
        if self.is_random and (self.content, self.level) not in RECIPES:
            raise ValueError(f"no augmentation recipe for content {self.content!r}, level {self.level!r}")

    @property
    def is_random(self) -> bool:
        """False if the output is always the same for an image (level ``none``)."""
        return self.level != "none"

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """Augment one image.

        Args:
            image: uint8 ``[H, W, C]`` of any size; not modified.
            rng: Source of all randomness.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        if not self.is_random:
            return Preprocessing(self.image_size, self.crop_ratio).geometry(image)
        height, width = image.shape[:2]
        return self.change(self.crop(height, width, rng).cut(image), rng)

    @property
    def recipe(self) -> Recipe:
        """How far random changes go; level ``none`` has no recipe."""
        return RECIPES[self.content, self.level]

    @property
    def least_side(self) -> int:
        """Shortest side, in pixels, at which every crop has at least ``image_size`` rows and columns."""
        return math.ceil(self.image_size * math.sqrt(self.recipe.ratio / self.recipe.area))

    def crop(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """Draw the region of an image to use: the first random change, for random levels only.

        Args:
            height: Rows of the image.
            width: Columns of the image.
            rng: Source of all randomness.
        """
        return _random_crop(height, width, self.recipe, rng)

    def change(self, crop: Pixels, rng: np.random.Generator) -> Pixels:
        """Resize a crop and apply the other random changes.

        Args:
            crop: uint8 ``[H, W, C]`` of any size; not modified.
            rng: The generator passed to ``crop``.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        recipe = self.recipe
        image = resize(crop, self.image_size, self.image_size)
        image = _random_flip(image, self.flip, rng)
        image = _random_rotation(image, recipe.rotation, rng)
        image = _random_colour(image, recipe, rng)
        return _random_erasing(image, recipe.erase, rng)


def _random_crop(height: int, width: int, recipe: Recipe, rng: np.random.Generator) -> Box:
    for _ in range(_CROP_TRIES):
        area = (recipe.area + (1.0 - recipe.area) * rng.random()) * height * width
        ratio = math.exp(_around(1.0, rng.random()) * math.log(recipe.ratio))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            break
    else:  # a very long image: use its centre
        crop_width = min(width, max(1, round(height * recipe.ratio)))
        crop_height = min(height, max(1, round(width * recipe.ratio)))
        return Box((height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width)
    top = int(rng.integers(0, height - crop_height + 1))
    left = int(rng.integers(0, width - crop_width + 1))
    return Box(top, left, crop_height, crop_width)


def _random_flip(image: Pixels, flip: Flip, rng: np.random.Generator) -> Pixels:
    if flip != "none" and rng.random() < 0.5:
        image = np.asarray(cv2.flip(image, 1), np.uint8).reshape(image.shape)
    if flip == "both" and rng.random() < 0.5:
        image = np.asarray(cv2.flip(image, 0), np.uint8).reshape(image.shape)
    return image


def _random_rotation(image: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    if not degrees:
        return image
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rng.uniform(-degrees, degrees), 1.0)
    turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8).reshape(image.shape)


def _random_colour(image: Pixels, recipe: Recipe, rng: np.random.Generator) -> Pixels:
    """Change saturation, contrast, brightness and channel gains in one affine map; gray: contrast and brightness."""
    if not (recipe.light or recipe.colour) or image.shape[2] not in (GRAY, RGB):
        return image
    if image.shape[2] == GRAY:
        return _random_light(image, recipe, rng)
    draws = rng.random(3 + RGB).tolist()
    saturation = 1 + _around(recipe.colour, draws[0])
    brightness, contrast = 1 + _around(recipe.light, draws[1]), 1 + _around(recipe.light, draws[2])
    gains = [brightness * (1 + _around(recipe.colour / 2, draw)) for draw in draws[3:]]
    offset = sum(map(mul, _LUMA, cv2.mean(image))) * (1 - contrast)
    gray = [(1 - saturation) * weight for weight in _LUMA]
    change = [
        [gain * (contrast * (saturation * (row == column) + gray[column])) for column in range(RGB)] + [gain * offset]
        for row, gain in enumerate(gains)
    ]
    return np.asarray(cv2.transform(image, np.array(change)), np.uint8)


def _around(most: float, draw: float) -> float:
    """Map a draw of ``rng.random()`` to what ``rng.uniform(-most, most)`` would return, but faster."""
    return -most + 2 * most * draw


def _random_light(image: Pixels, recipe: Recipe, rng: np.random.Generator) -> Pixels:
    brightness, contrast = 1 + rng.uniform(-recipe.light, recipe.light, 2)
    offset = float(image.mean()) * (1 - contrast)
    changed = cv2.transform(image, brightness * np.array([[contrast, offset]]))
    return np.asarray(changed, np.uint8).reshape(image.shape)


def _random_erasing(image: Pixels, probability: float, rng: np.random.Generator) -> Pixels:
    if not probability or rng.random() >= probability:
        return image
    height, width = image.shape[:2]
    area = rng.uniform(*_ERASED_AREA) * height * width
    ratio = math.exp(rng.uniform(-1.0, 1.0) * math.log(2.0))
    box_width = min(width, max(1, round(math.sqrt(area * ratio))))
    box_height = min(height, max(1, round(math.sqrt(area / ratio))))
    top = int(rng.integers(0, height - box_height + 1))
    left = int(rng.integers(0, width - box_width + 1))
    image = image.copy()
    image[top : top + box_height, left : left + box_width] = rng.integers(0, 256, image.shape[2], dtype=np.uint8)
    return image
