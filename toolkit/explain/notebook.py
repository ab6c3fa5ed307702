"""A bake-off that displays itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, fields

from toolkit.bakeoff import BakeOff, comparison_table
from toolkit.explain.comparison_figures import curves_over_epochs, scores_of_seeds
from toolkit.explain.comparison_words import comparison_statements
from toolkit.pages.notebook import Shown, figures_html


@dataclass(frozen=True, repr=False)
class ShownBakeOff(BakeOff):
    """A bake-off with its table, its figures and what they say as HTML."""

    @classmethod
    def of(cls, found: BakeOff) -> ShownBakeOff:
        """The same bake-off, for a notebook."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    def _repr_html_(self) -> str:
        figures = figures_html([scores_of_seeds(self.rows), curves_over_epochs(self.rows)])
        words = Shown.of(comparison_table(self.rows, self.missing), *comparison_statements(self)).html
        return f"{words}{figures}"
