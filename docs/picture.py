"""Draw the README's figure from a finished quickstart run.

Example:
    make quickstart
    python docs/picture.py runs/quickstart docs/quickstart.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_rel
from sklearn.datasets import load_digits

PRESETS = {"all_stages": "fine-tune", "linear_probe": "linear probe", "scratch": "from scratch"}
COLOURS = {"all_stages": "#1f4fd8", "linear_probe": "#d9730d", "scratch": "#7a7f87"}


def curves(run: Path) -> dict[str, np.ndarray]:
    """Validation top-1 of each preset, ``[seeds, epochs]``."""
    found: dict[str, list[list[float]]] = {}
    folders = [("all_stages", run), *((p.name.rpartition("-seed")[0], p) for p in sorted((run / "compare").iterdir()))]
    for preset, folder in folders:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found.setdefault(preset, []).append([json.loads(line)["val"]["top1"] for line in lines])
    return {preset: np.array(seeds) for preset, seeds in found.items()}


def legend(preset: str, values: np.ndarray, ours: np.ndarray) -> str:
    """The preset's name and its gap to fine-tuning at the best epochs, paired by seed, with the 95 % interval."""
    if values is ours:
        return PRESETS[preset]
    found = ttest_rel(100 * ours.max(axis=1), 100 * values.max(axis=1))
    low, high = found.confidence_interval(0.95)
    gap = 100 * (ours.max(axis=1) - values.max(axis=1)).mean()
    return f"{PRESETS[preset]}: {gap:.0f} points behind ({low:.0f} to {high:.0f})"


def draw(run: Path, target: Path) -> None:
    """Draw source digits, target digits and the learning curves."""
    digits = load_digits()
    figure = Figure(figsize=(9.6, 3.6), dpi=150)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.55))
    axes = left.subplots(5, 6, gridspec_kw={"wspace": 0.08, "hspace": 0.08, "top": 0.8, "bottom": 0.04})
    for row in range(5):
        for column in range(6):
            label = row if column < 3 else row + 5
            index = np.flatnonzero(digits.target == label)[column % 3]
            axes[row, column].imshow(digits.images[index], cmap="gray_r" if column < 3 else "Blues")
            axes[row, column].set_axis_off()
    left.text(0.31, 0.84, "source task: 0 to 4", ha="center", fontsize=9)
    left.text(0.71, 0.84, "target: 3 images each", ha="center", fontsize=9, color=COLOURS["all_stages"])
    axis = right.subplots(gridspec_kw={"bottom": 0.15, "top": 0.88, "left": 0.1, "right": 0.97})
    found = curves(run)
    for preset, values in found.items():
        epochs, colour = np.arange(1, values.shape[1] + 1), COLOURS[preset]
        axis.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.13, lw=0)
        axis.plot(epochs, values.mean(axis=0), color=colour, lw=2, label=legend(preset, values, found["all_stages"]))
    axis.axhline(0.2, color="#b0b4ba", lw=0.8, ls=":")
    title = f"digits 5 to 9: accuracy, mean and range of {len(values)} seeds (gap: 95 % interval)"
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel("epoch", fontsize=9)
    axis.set_ylim(0, 1.05)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower right", labelspacing=0.3, borderaxespad=0.1)
    figure.savefig(target)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
