"""The base class of all sections of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from toolkit.core.errors import ConfigError

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of the configuration: frozen, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:
            raise ConfigError(
                f"{name}: a configuration is frozen",
                hint=f"use a changed copy: tuner.with_options({name}=...), or load_config(file, ['KEY=VALUE'])",
            )
        super().__setattr__(name, value)


def spelled_as(key: str) -> Callable[[Any], Any]:
    """Let a section be written as one word: ``head: mlp`` for ``head: {type: mlp}``."""
    return lambda value: {key: value} if isinstance(value, str) else value
