"""What is known of each data format, a row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from toolkit.config import DataConfig
from toolkit.data.augmentation import Content, Flip
from toolkit.data.formats import read_cub200, read_digits, read_folder, read_list, read_paddle_set
from toolkit.data.source import Source

__all__ = ["FORMATS", "FormatFacts"]


@dataclass(frozen=True)
class FormatFacts:
    """One data format.

    Attributes:
        read: Reads it.
        content: What its pictures are, for augmentation.
        crop_ratio: Evaluation: centre crop as a fraction of the short side.
        flip: Mirroring that does not change the class.
    """

    read: Callable[[DataConfig], Source]
    content: Content = "photo"
    crop_ratio: float = 0.875
    flip: Flip = "horizontal"


FORMATS: Mapping[str, FormatFacts] = MappingProxyType(
    {
        "folder": FormatFacts(read_folder),
        "cub200": FormatFacts(read_cub200),
        "list": FormatFacts(read_list),
        "digits": FormatFacts(read_digits, content="glyph", crop_ratio=1.0, flip="none"),
        "cifar10": FormatFacts(read_paddle_set, content="tiny", crop_ratio=1.0),
        "cifar100": FormatFacts(read_paddle_set, content="tiny", crop_ratio=1.0),
        "mnist": FormatFacts(read_paddle_set, content="glyph", crop_ratio=1.0, flip="none"),
        "fashion_mnist": FormatFacts(read_paddle_set, content="tiny", crop_ratio=1.0),
        "flowers102": FormatFacts(read_paddle_set),
    }
)
