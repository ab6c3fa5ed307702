"""``model``: the network and its head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from toolkit.config.section import Section, spelled_as


class SourceConfig(Section):
    """A custom source task: the network is first trained with this config, unless that run already exists."""

    config: Path
    """YAML file of the source run, relative to the file that names it."""


class HeadConfig(Section):
    """The new head on top of the backbone."""

    type: Literal["linear", "mlp", "cosine"] = "linear"
    """`linear`: dropout and one dense layer; `mlp`: hidden layers in between; `cosine`: scaled cosine similarity."""
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    """Widths of the hidden layers (`mlp` only)."""
    activation: Literal["relu", "gelu", "tanh", "hardswish"] = "relu"
    """Activation after each hidden layer (`mlp` only)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping a feature before each dense layer."""
    stages: Literal["last", "upper_half", "all"] | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Stages whose pooled features the head reads: `last`, `upper_half` or `all` of the kept ones, or names; by default
    the preset's."""

    def reading(self, stages: Sequence[str]) -> HeadConfig:
        """Return a copy for a head that reads the named stages; none: the last one."""
        return self.model_copy(update={"stages": tuple(stages) or "last"})


class ModelConfig(Section):
    """The network."""

    name: str
    """A network of the zoo: resnet50, mobilenet_v2, vgg16, ..."""
    pretrained: bool | SourceConfig | str = True
    """`true` (Paddle's ImageNet weights), `false`, a local file, a URL, or `{config: other.yaml}`."""
    head: Annotated[HeadConfig, BeforeValidator(spelled_as("type"))] = HeadConfig()
    """The new head: `linear`, `mlp`, `cosine`, or a mapping."""
    pooling: Literal["avg", "max", "gem", "none"] = "avg"
    """Pools the backbone's map to features: average, maximum, generalised mean (learned power), or all positions."""
    in_channels: int | None = Field(default=None, ge=1, le=64)
    """Channels of the images: 1 (gray), 3 (RGB), or another number; by default the network's."""
