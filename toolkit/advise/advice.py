"""Advice: the place in the matrix, the recommended plan, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.advise.choose import Choice
from toolkit.advise.evidence import Evidence
from toolkit.advise.matrix import Place
from toolkit.advise.measurement import Measurement
from toolkit.config import Config
from toolkit.transfer import Plan


@dataclass(frozen=True)
class Advice:
    """What the advisor says.

    Attributes:
        name: Of the data.
        measured: What it stands on.
        evidence: For or against similarity.
        place: In the matrix.
        choices: Presets, the recommended one first.
        plan: The recommended plan; None where there is nothing to train on.
        trained: Preset's title -> number of weights that it trains.
        config: The recommendation as a config that trains as it is; None without a config, or nothing to train on.
        why: Three sentences.
        notes: What could not be estimated, what disagrees, and other lines that should be read.
        expected_loss: How much worse than the best preset such advice was on data sets that the calibration had not
            seen, in top-1 accuracy; None: not known.
    """

    name: str
    measured: Measurement
    evidence: tuple[Evidence, ...]
    place: Place
    choices: tuple[Choice, ...]
    plan: Plan | None
    trained: dict[str, int]
    config: Config | None
    why: tuple[str, ...]
    notes: tuple[str, ...]
    expected_loss: float | None = None

    @property
    def cut(self) -> str | None:
        """Name of the last stage that is kept; None: all are, or there is no plan."""
        if self.plan is None or self.plan.cut is None:
            return None
        return self.measured.stages[self.plan.cut - 1].name

    @property
    def learning_rates(self) -> dict[str, float] | None:
        """Of the ``head``, and of the ``backbone``'s lowest and highest stage that moves, in the last phase.

        None where there is no plan, or its head is solved.
        """
        if self.plan is None or self.plan.phases[-1].solver == "exact":
            return None
        phase = self.plan.phases[-1]
        moving = [phase.lr * share for share in phase.multipliers[phase.frozen :]]
        return {"head": phase.lr, **({"backbone_lowest": moving[0], "backbone_highest": moving[-1]} if moving else {})}

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json`` and ``run.json``."""
        plan, runner_up = self.plan, self.choices[1] if self.plan else None
        return {
            "name": self.name,
            "network": self.measured.network,
            "size": self.place.size,
            "similarity": self.place.similarity,
            "confidence": round(self.place.confidence, 4),
            "sure_of_size": round(self.place.sure_of_size, 4),
            "sure_of_similarity": round(self.place.sure_of_similarity, 4),
            "preset": plan and plan.preset,
            "variant": plan and plan.variant,
            "cut": self.cut,
            "learning_rates": self.learning_rates,
            "optimizer": plan and plan.optimizer,
            "epochs": plan and plan.epochs,
            "expected_loss": self.expected_loss if plan else None,
            "runner_up": runner_up and {"preset": runner_up.title},
            "evidence": [piece.to_json() for piece in self.evidence],
            "missing": self.measured.missing,
            "dissenting": list(self.place.dissenting),
            "sample": self.measured.sample,
            "data": self._size(),
            "trainable": self.trained,
            "depth": self._depth(),
            "statistics_by_layer": list(self.measured.batchnorm.layers) if self.measured.batchnorm else None,
            "why": list(self.why),
            "notes": list(self.notes),
            "seconds": self.measured.seconds,
        }

    def _size(self) -> dict[str, Any]:
        size = self.measured.size
        shares = {title: size.images / count for title, count in self.trained.items() if count}
        return {**size.model_dump(), "imbalance": round(size.imbalance, 3), "images_per_weight": shares}

    def _depth(self) -> list[dict[str, Any]] | None:
        depth = self.measured.depth
        if depth is None:
            return None
        names = [stage.name for stage in self.measured.stages]
        return [{"stage": name, "score": score} for name, score in zip(names, depth.scores, strict=True)]
