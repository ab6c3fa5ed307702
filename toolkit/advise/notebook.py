"""Advice that displays itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, fields

from toolkit.advise.advice import Advice
from toolkit.advise.tables import advice_text
from toolkit.pages.notebook import Shown


@dataclass(frozen=True, repr=False)
class ShownAdvice(Advice):
    """Advice with its tables and reasons as HTML."""

    @classmethod
    def of(cls, advice: Advice) -> ShownAdvice:
        """The same advice, for a notebook."""
        return cls(**{field.name: getattr(advice, field.name) for field in fields(advice)})

    def _repr_html_(self) -> str:
        return Shown.of(*advice_text(self)).html
