"""Presets side by side on the same data: several seeds each, one table at the end."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from toolkit.config import Config, SourceConfig, make_config
from toolkit.console import info, new_table, quietly
from toolkit.engine.job import source_run
from toolkit.engine.result import RunResult
from toolkit.engine.run_folder import RunFolder
from toolkit.engine.trainer import Trainer
from toolkit.task import TASKS, Metric

__all__ = ["Comparison", "compare_presets", "comparison_table"]


@dataclass(frozen=True)
class Comparison:
    """One preset's results.

    Attributes:
        preset: The preset.
        metric: The task's main metric.
        scores: Its best value on the validation images, for each seed; on the test images where there are some.
        seconds: Training time of each seed.
        trainable: Number of weights that moved (in the last phase).
    """

    preset: str
    metric: Metric
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    trainable: int

    @property
    def spread(self) -> float:
        """Standard deviation of ``scores`` over the seeds; 0 for one seed."""
        return stdev(self.scores) if len(self.scores) > 1 else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "preset": self.preset,
            "metric": self.metric.name,
            self.metric.name: list(self.scores),
            "mean": mean(self.scores),
            "spread": self.spread,
            "seconds": mean(self.seconds),
            "trainable": self.trainable,
        }


def compare_presets(config: Config, done: RunResult) -> list[Comparison]:
    """Train ``transfer.compare`` beside a finished run of the config's own preset.

    Each preset uses its own learning rates; data, epochs (where the config says them) and everything else are the
    same. Seed i changes the split of the data and everything random in training together. What an interrupted
    comparison has trained already is not trained again.

    Args:
        config: The config of the finished run.
        done: Its result; it counts as the first seed of its preset.

    Returns:
        One row a preset, the config's own first.
    """
    metric = TASKS[config.task].main
    presets = (config.transfer.preset, *(p for p in config.transfer.compare if p != config.transfer.preset))
    rows = []
    info(f"beside it: {', '.join(presets)}; {config.transfer.compare_seeds} seed(s) each")
    for preset in presets:
        results = [done] if preset == config.transfer.preset else []
        for seed in range(len(results), config.transfer.compare_seeds):
            with quietly():
                variation = _variation(config, preset, seed, done.folder.path / "compare")
                results.append(Trainer.from_config(variation).fit(resume=_begun(variation)))
            gc.collect()  # a trainer and its parts refer to each other, and hold memory of which Python knows nothing
            score, seconds = _score(results[-1], metric), results[-1].seconds
            info(f"  {preset}, seed {variation.seed}: {metric.title} {score:.3f} ({seconds:.1f} s)")
        rows.append(
            Comparison(
                preset,
                metric,
                tuple(_score(result, metric) for result in results),
                tuple(result.seconds for result in results),
                results[0].parameters["trainable"],
            )
        )
    return rows


def _begun(variation: Config) -> Path | None:
    """The folder that an interrupted comparison has left for this run."""
    folder = RunFolder(variation.output_dir / variation.name)
    return folder.path if folder.last.is_file() and not folder.differing_key(variation) else None


def _score(result: RunResult, metric: Metric) -> float:
    return float((result.test or result.best)[metric.name])


def _variation(config: Config, preset: str, seed: int, folder: Path) -> Config:
    own = preset == config.transfer.preset
    transfer = config.transfer.model_dump(exclude={"compare"}) if own else {"preset": preset}
    train = config.train.model_dump(exclude=set() if own else {"lr", "solver"})
    values = config.model_dump()
    values.update(
        name=f"{preset}-seed{config.seed + seed}",
        seed=config.seed + seed,
        output_dir=folder,
        transfer=transfer,
        train=train,
        log={**values["log"], "sample_images": 0},
        export={"enabled": False, "report": False},
    )
    if isinstance(config.model.pretrained, SourceConfig):
        values["model"]["pretrained"] = str(source_run(config, config.model.pretrained).best)
    values["data"]["split_seed"] = config.data.split_seed + seed
    return make_config(values)


def comparison_table(rows: list[Comparison]) -> Table:
    """Rows of ``compare_presets`` for people."""
    seeds, title = len(rows[0].scores), rows[0].metric.title
    table = new_table(
        f"presets side by side ({seeds} seed{'s' if seeds > 1 else ''})",
        "preset",
        title,
        "trainable weights",
        "seconds",
        numeric=(title, "trainable weights", "seconds"),
    )
    best = max(mean(row.scores) for row in rows)
    for row in rows:
        score = f"{mean(row.scores):.3f}" + (f" ± {row.spread:.3f}" if seeds > 1 else "")
        style = "bold" if mean(row.scores) == best else None
        table.add_row(row.preset, score, f"{row.trainable:,}", f"{mean(row.seconds):.1f}", style=style)
    return table
