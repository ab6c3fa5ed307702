"""``data``: the images and their labels."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toolkit.config.section import Fraction, Section


def _as_text(name: Any) -> Any:
    return str(name) if isinstance(name, (int, float)) and not isinstance(name, bool) else name


class DataConfig(Section):
    """The images."""

    format: Literal[
        "folder", "cub200", "list", "csv", "digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "flowers102"
    ] = "folder"
    """How images and labels are stored; `list` and `csv` support every task, `digits` also regression."""
    root: Path | None = None
    """Folder of the data set; not needed for `digits` or for sets that Paddle downloads."""
    image_size: int | None = Field(default=None, ge=8)
    """Side of the square input in pixels; by default the network's native size (224 for most)."""
    crop_ratio: float | None = Field(default=None, gt=0, le=1)
    """Evaluation: centre crop as a fraction of the resized short side; by default 0.875, and 1 for tiny images."""
    batch_size: int = Field(default=32, ge=1)
    """Images per step."""
    workers: int | None = Field(default=None, ge=0)
    """Threads that read and augment images; by default one per core, at most 8. Does not affect results."""
    timeout: float = Field(default=300.0, gt=0)
    """Stop the run if the file system does not respond and no image can be read for this many seconds."""
    fast_decoding: bool = True
    """Training: take random crops from large JPEGs decoded at 1/2, 1/4 or 1/8 of their size, provided the crop keeps
    `image_size` pixels; evaluation and prediction always decode at full size."""
    cache_images: Literal["none", "memory"] = "none"
    """`memory`: keep decoded images between epochs, in at most half of the memory that is free at the start."""
    augment: Literal["auto", "none", "standard", "strong"] = "auto"
    """Training augmentation; `auto` follows the preset."""
    flip: Literal["auto", "none", "horizontal", "both"] = "auto"
    """Random mirroring; `auto` mirrors left-right, except for digits and letters."""
    classes: tuple[str, ...] | None = None
    """Use only these classes, in this order (`folder`: these folders are classes, whatever they look like); multilabel
    and regression: only these labels or targets, and all images."""
    samples_per_class: int | None = Field(default=None, ge=1)
    """Maximum number of training images per class, drawn with `split_seed`; multilabel: an image is kept while one of
    its labels has fewer ("no label" counts as a label); not for regression."""
    val_fraction: Fraction = 0.2
    """Fraction of each class (label, range of a target) for validation, if the data set has no validation split."""
    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    """The same fraction for a final test, if the data set has no test split."""
    fold: str | None = Field(default=None, pattern=r"^\d+/\d+$")
    """Cross-validation: `2/5` holds out the second of five stratified parts of the training images for validation and
    trains on the other four; the data's own validation and test images take no part. Drawn with `split_seed`."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of the split and of `samples_per_class`, independent of the training seed."""
    on_bad_image: Literal["error", "skip"] = "error"
    """What to do with unreadable images: stop and list them, or skip them with a warning."""
    bit_depth: int | None = Field(default=None, ge=8, le=32)
    """Bits used in files of more than 8 bits, for example 12 in a 16-bit PNG or TIFF; by default the smallest of 8, 10,
    12, 14, 16, 24 and 32 that holds the values of each file."""
    window: tuple[float, float] | None = None
    """Values that become black and white in all files that are not 8-bit, for example [-160, 240] for soft tissue in
    CT; by default derived from the range of each file's values."""
    alpha: Literal["white", "black", "drop"] = "white"
    """Background of transparent pixels; `drop` ignores alpha and uses the stored colours. `model.in_channels: 4` keeps
    alpha unchanged."""
    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    """Mean of each channel, for pixels in [0, 1]; by default that of the network's pretraining (gray: its average over
    red, green and blue; other numbers of channels: repeated in turn)."""
    std: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None
    """Standard deviation of each channel, for pixels in [0, 1]; by default as for `mean`."""
    train_list: str | None = None
    """`list`: file with a `path label` line per image (train_list.txt), where the label is a class index, `0,1,0,1`
    (multilabel) or `1.5,2` (regression); `csv`: a table with a header (train.csv or labels.csv)."""
    val_list: str | None = None
    """The same for validation (val_list.txt, val.csv); without one, validation images are drawn from training."""
    test_list: str | None = None
    """The same for a final test."""
    label_file: str | None = None
    """`list` and `csv`: names of the classes, labels or targets in order, one per line: `name`, or number and name. The
    numbers count from 0 or 1, and labels use the same numbers."""
    image_column: str | None = None
    """`csv`: column of the image paths, whose extensions may be missing; by default `path`, `image`, `file`,
    `filename`, `image_id`, ..., or else the column whose cells are files."""
    label_columns: tuple[str, ...] | None = None
    """`csv`: columns of the labels or targets; by default all others except row numbers and `split`. Classification:
    one column of class names; multilabel: columns of 0 and 1, or one column of names; regression: number columns."""
    label_separator: str | None = Field(default=None, min_length=1)
    """`csv`, multilabel in one column: separator between label names; an empty cell has no label. By default `|`; cells
    that seem to use another separator are an error."""
    split_column: str = "split"
    """`csv`: column with train, val or test, or with True and False in `is_valid`, `is_test` or `is_train`; by default
    `split`, or else the only such column."""
    weight_column: str | None = None
    """`csv`: column of numbers >= 0: the weight of each training image in the loss, or how often `sampling: weighted`
    draws it; 0 leaves it out."""
    sampling: Literal["natural", "balanced", "weighted"] = "natural"
    """Training images of an epoch. `natural`: each once; `balanced`: each class equally often, repeating images of
    small classes; `weighted`: each in proportion to `weight_column`."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, value: Any) -> Any:
        """Convert names of classes and columns to text; from Python they may also be numbers."""
        if not isinstance(value, dict):
            return value
        lists = {key: value[key] for key in ("classes", "label_columns") if isinstance(value.get(key), (list, tuple))}
        return {**value, **{key: [_as_text(name) for name in names] for key, names in lists.items()}}

    @model_validator(mode="after")
    def _one_range(self) -> DataConfig:
        if self.window is not None:
            low, high = self.window
            if not (isfinite(low) and isfinite(high) and low < high):
                raise ValueError(f"window is [{low:g}, {high:g}]; expected two numbers, the lower first")
            if self.bit_depth is not None:
                raise ValueError(
                    "window and bit_depth both set which values become black and white: use only one of them"
                )
        return self

    @model_validator(mode="after")
    def _weights_are_in_a_column(self) -> DataConfig:
        if self.weight_column is not None and self.format != "csv":
            raise ValueError(f"weight_column is a column of a csv table, but format is {self.format}")
        if self.sampling == "weighted" and self.weight_column is None:
            raise ValueError("sampling: weighted draws by the weight of each image: set weight_column (format: csv)")
        return self

    @model_validator(mode="after")
    def _fold_is_one_of_several(self) -> DataConfig:
        if self.fold is not None:
            number, folds = map(int, self.fold.split("/"))
            if folds < 2 or not 1 <= number <= folds:
                raise ValueError(f"fold is {self.fold}; expected 1/5 to 5/5 for five folds, and at least two folds")
        return self

    @model_validator(mode="after")
    def _fractions_leave_something(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1")
        return self
