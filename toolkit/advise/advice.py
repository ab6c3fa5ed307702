"""Advice: the position in the matrix, the recommended plan, and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.advise.choose import Choice
from toolkit.advise.evidence import Evidence
from toolkit.advise.matrix import MatrixPosition
from toolkit.advise.measurement import Measurement
from toolkit.config import Config
from toolkit.transfer import Plan


@dataclass(frozen=True, repr=False)
class Advice:
    """The advisor's result.

    Attributes:
        name: Name of the data set.
        measured: The measurement it is based on.
        evidence: Evidence for or against similarity.
        position: Position in the matrix.
        choices: Presets, the recommended one first.
        plan: The recommended plan; None if the images cannot be trained on.
        trained: Number of trained weights by preset.
        config: The recommendation as a config ready for training; None if there is no config or no plan.
        why: The reasons, in three sentences.
        notes: Missing estimates, disagreeing evidence, and other remarks.
        expected_loss: How much worse than the best preset such advice was on data sets not used in the calibration, in
            top-1 accuracy; None if unknown.
    """

    name: str
    measured: Measurement
    evidence: tuple[Evidence, ...]
    position: MatrixPosition
    choices: tuple[Choice, ...]
    plan: Plan | None
    trained: dict[str, int]
    config: Config | None
    why: tuple[str, ...]
    notes: tuple[str, ...]
    expected_loss: float | None = None

    @property
    def cut(self) -> str | None:
        """Name of the last stage to keep; None if all are kept, or there is no plan."""
        if self.plan is None or self.plan.cut is None:
            return None
        return self.measured.stages[self.plan.cut - 1].name

    @property
    def learning_rates(self) -> dict[str, float] | None:
        """Learning rates of the ``head`` and the lowest and highest trainable ``backbone`` stage in the last phase.

        None if there is no plan, or the head is solved exactly.
        """
        if self.plan is None or self.plan.phases[-1].solver == "exact":
            return None
        phase = self.plan.phases[-1]
        moving = [phase.lr * share for share in phase.multipliers[phase.frozen :]]
        return {"head": phase.lr, **({"backbone_lowest": moving[0], "backbone_highest": moving[-1]} if moving else {})}

    def __repr__(self) -> str:
        preset = self.plan.preset if self.plan else "no preset"
        where = f"{self.position.size} and {self.position.similarity}"
        return f"Advice for {self.name}: {preset} ({where}, {self.position.confidence:.0%} sure of both)"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json`` and ``run.json``."""
        plan, runner_up = self.plan, self.choices[1] if self.plan else None
        return {
            "name": self.name,
            "network": self.measured.network,
            "size": self.position.size,
            "similarity": self.position.similarity,
            "confidence": round(self.position.confidence, 4),
            "sure_of_size": round(self.position.sure_of_size, 4),
            "sure_of_similarity": round(self.position.sure_of_similarity, 4),
            "preset": plan and plan.preset,
            "cut": self.cut,
            "learning_rates": self.learning_rates,
            "optimizer": plan and plan.optimizer,
            "epochs": plan and plan.epochs,
            "expected_loss": self.expected_loss if plan else None,
            "runner_up": runner_up and {"preset": runner_up.preset},
            "evidence": [piece.to_json() for piece in self.evidence],
            "missing": self.measured.missing,
            "dissenting": list(self.position.dissenting),
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
        shares = {preset: size.images / count for preset, count in self.trained.items() if count}
        return {**size.model_dump(), "imbalance": round(size.imbalance, 3), "images_per_weight": shares}

    def _depth(self) -> list[dict[str, Any]] | None:
        depth = self.measured.depth
        if depth is None:
            return None
        names = [stage.name for stage in self.measured.stages]
        return [{"stage": name, "score": score} for name, score in zip(names, depth.scores, strict=True)]
