"""Read image sets in many formats, check and split them, and make batches."""

from toolkit.data.augmentation import Augmentation
from toolkit.data.batches import Batch, BatchLoader
from toolkit.data.build import build_data
from toolkit.data.bundle import DataBundle
from toolkit.data.channels import as_rgb
from toolkit.data.decode import IMAGE_EXTENSIONS, decode_image, is_image_file, read_image
from toolkit.data.image_cache import ImageCache
from toolkit.data.images import ArrayImages, FileImages, ImageSet
from toolkit.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, normalisation

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "IMAGE_EXTENSIONS",
    "ArrayImages",
    "Augmentation",
    "Batch",
    "BatchLoader",
    "DataBundle",
    "FileImages",
    "ImageCache",
    "ImageSet",
    "Preprocessing",
    "as_rgb",
    "build_data",
    "decode_image",
    "is_image_file",
    "normalisation",
    "read_image",
]
