"""Fine-tuning from Python and in notebooks, without a YAML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.callbacks import Callback

from toolkit.advise import Advice, advise
from toolkit.advise.notebook import ShownAdvice
from toolkit.bakeoff import BakeOff, bake_off
from toolkit.config import Config, make_config
from toolkit.core.console import shown_warnings, warn
from toolkit.core.errors import ConfigError, Interrupted
from toolkit.core.names import did_you_mean, listed
from toolkit.data.given import Data
from toolkit.deploy import Predictor, export_job
from toolkit.engine import Job, RunFolder, RunResult
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.pages.notebook import Shown, figures_html, gallery_html, table_html
from toolkit.tasks import TASKS, softmax
from toolkit.trainer import Trainer
from toolkit.transfer import plan_table
from toolkit.zoo import StagedNetwork

if TYPE_CHECKING:
    import pandas

_MANY_CLASSES = 20
"""Confusion tables of more classes are not shown with a result."""


class FineTuner:
    """A network, data and a plan, ready to be fine-tuned.

    Args:
        network: A network of the zoo, see ``paddle-finetune models``.
        data: The images.
        plan: ``auto`` asks the advisor, which measures the images; or a preset such as ``linear_probe`` or
            ``all_stages``.
        weights: File of pretrained weights, or what another ``fit`` returned; ``True``: ImageNet weights; ``False``:
            random ones.
        options: Any other key of the configuration by its last word (``epochs=10, lr=0.01, batch_size=16``), or a
            section (``train={"epochs": 10}``).

    Attributes:
        config: The checked configuration; ``tuner.with_options(epochs=3)`` returns a changed copy of the tuner.
        data: The images.

    Raises:
        ConfigError: An option does not exist, or its value is invalid.

    Example:
        >>> import toolkit as ft
        >>> data = ft.Data.from_folder("photos")  # doctest: +SKIP
        >>> result = ft.FineTuner("mobilenet_v2", data, plan="all_stages", epochs=5).fit()  # doctest: +SKIP
        >>> result.predictor()("new.jpg").label[0]  # doctest: +SKIP
        'bee'
    """

    def __init__(
        self,
        network: str,
        data: Data,
        plan: str = "auto",
        weights: str | Path | bool | FineTuned = True,
        **options: Any,
    ) -> None:
        if not isinstance(data, Data):
            raise ConfigError(
                f"data is {type(data).__name__}, not Data",
                hint="use Data.from_folder, from_lists, from_frame, from_arrays or from_dataset",
            )
        self.data = data
        self._fitted = False
        self._given = {"network": network, "data": data, "plan": plan, "weights": weights, **options}
        values: dict[str, Any] = {
            "name": data.name,
            "task": data.task,
            "model": {"name": network, "pretrained": _pretrained(weights)},
            "data": dict(data.values),
            "transfer": {"preset": plan},
        }
        for name, value in options.items():
            section, key = _place_of(name, value)
            values = {**values, key: value} if section is None else _with(values, section, key, value)
        self.config: Config = make_config(values, where="FineTuner")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("config", "data", "trainer", "_given", "_fitted"):
            change = f"tuner = tuner.with_options({name}=...)"
            raise ConfigError(f"{name} of a tuner cannot be changed", hint=f"make a changed copy: {change}")
        super().__setattr__(name, value)

    def with_options(self, **options: Any) -> FineTuner:
        """Return a tuner with other options; the arguments are those of ``FineTuner``."""
        return FineTuner(**{**self._given, **options})

    @cached_property
    def trainer(self) -> Trainer:
        """The trainer, built when it is first needed: reads and checks the images, and asks for advice if need be."""
        with shown_warnings():
            return Trainer.from_config(self.config)

    @property
    def job(self) -> Job:
        """The job: data, network, plan (``job.plan``) and preprocessing."""
        return self.trainer.job

    @property
    def network(self) -> StagedNetwork:
        """The network, a ``paddle.nn.Layer`` of stages; changes before ``fit`` are respected or refused."""
        return self.job.network

    @property
    def model(self) -> paddle.Model:
        """The network as a ``paddle.Model`` with its ``InputSpec``: ``summary``, ``predict``, ``save``."""
        return self.trainer.model

    @property
    def plan(self) -> Shown:
        """The plan as a table: what is frozen, and the learning rates."""
        return Shown.of(plan_table(self.job.plan, self.job.stages, self.job.head_parameters))

    def advise(self) -> Advice:
        """Measure the images and return what the advisor recommends for them."""
        with shown_warnings():
            return ShownAdvice.of(advise(self.config))

    def freeze(self, stages: int | str) -> None:
        """Freeze the first ``stages`` stages, or up to and including a named one; see ``StagedNetwork.freeze``."""
        self.network.freeze(stages)

    def unfreeze(self) -> None:
        """Let all stages learn."""
        self.network.freeze(0)

    def fit(self, callbacks: Sequence[Callback] | Callback = (), resume: str | Path | None = None) -> FineTuned:
        """Train, export and report as the command does. A second call continues from the weights of the first.

        Args:
            callbacks: Paddle callbacks, called after those of the configuration.
            resume: Folder of an interrupted run, or ``auto``.

        Raises:
            ToolkitError: See ``Trainer.fit``; or a callback is not one of Paddle's.
        """
        callbacks = [callbacks] if isinstance(callbacks, Callback) else callbacks
        for callback in callbacks:
            if not isinstance(callback, Callback):
                kind = f"{type(callback).__module__}.{type(callback).__name__}"
                raise ConfigError(f"{kind} is not a Paddle callback", hint="derive it from paddle.callbacks.Callback")
        with shown_warnings():
            if callbacks or self._fitted:
                self.trainer = Trainer(self.job, callbacks)
            if self._fitted and resume is None:
                warn("fit continues from the weights of the last fit; to start afresh: tuner.with_options().fit()")
            self._fitted = True
            try:
                return FineTuned(self.trainer.fit(resume), self.job)
            except Interrupted as stop:
                raise Interrupted(stop.message, hint=f'{stop.hint}; from Python: fit(resume="auto")') from None

    def compare(
        self, presets: Sequence[str] | str | None = None, seeds: int = 3, budget: float | None = None
    ) -> BakeOff:
        """Train presets on the same splits and return the comparison; ``budget`` in seconds."""
        from toolkit.explain.notebook import ShownBakeOff  # matplotlib takes time to import

        presets = [presets] if isinstance(presets, str) else presets
        with shown_warnings():
            return ShownBakeOff.of(bake_off(self.config, presets, seeds, budget=budget, apart=False))

    def __repr__(self) -> str:
        return f"FineTuner({self.config.model.name!r}, {self.data.name!r}, plan={self.config.transfer.preset!r})"


@dataclass(frozen=True, repr=False)
class FineTuned:
    """A fine-tuned network and its result. In a notebook it displays metrics, curves, confusion and mistakes.

    Attributes:
        run: The run's result: folder, metrics of the best and the last epoch, exported model, report.
        job: The job; ``job.network`` holds the weights of the best epoch.
    """

    run: RunResult
    job: Job

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.run.folder

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics of the best epoch on test images or, if there are none, on validation images."""
        return dict(self.run.test if self.run.test is not None else self.run.best)

    @property
    def history(self) -> pandas.DataFrame:
        """One row per epoch: ``train_loss``, ``val_loss``, ``val_top1``, ... as a pandas frame."""
        import pandas

        rows = []
        for line in self._lines:
            row = {key: value for key, value in line.items() if not isinstance(value, (Mapping, list))}
            for split in ("train", "val"):
                row.update({f"{split}_{name}": value for name, value in line.get(split, {}).items()})
            rows.append(row)
        return pandas.DataFrame(rows).set_index("epoch")

    def plot(self) -> Shown:
        """Return the learning curves."""
        from toolkit.explain.figures import learning_curve

        lines = self._lines
        titles = {metric.name: metric.title for metric in TASKS[self.job.config.task].shown(len(self.job.data.classes))}
        first = next(name for name in titles if name != "loss")
        chosen = [("loss", titles["loss"]), (first, titles[first])]
        drawn = [learning_curve(lines, name, title, self.run.best.get("epoch")) for name, title in chosen]
        return Shown("\n".join(image.alt for image in drawn), figures_html(drawn))

    @cached_property
    def outputs(self) -> NDArray[np.float32]:
        """The best epoch's outputs for the evaluation images, ``[N, C]``: before softmax or sigmoid, or values."""
        if self.run.test_outputs is not None:
            return self.run.test_outputs
        batches = FeatureSource(self.job).for_evaluation(self.job.data.evaluation[1])
        return loader_outputs(self.job.network, batches, self.job.config.train)[0]

    def confusion(self) -> pandas.DataFrame:
        """Return how often each true class (rows) was predicted as each class (columns) on the evaluation images.

        Raises:
            ConfigError: The task is not classification.
        """
        import pandas

        from toolkit.explain.statistics import confusions

        true, predicted, _ = self._predicted()
        classes = list(self.job.data.classes)
        matrix = confusions(true, predicted, len(classes))
        frame = pandas.DataFrame(matrix, pandas.Index(classes, name="true"), classes)
        return frame.rename_axis(columns="predicted")

    def mistakes(self, count: int = 12) -> Shown:
        """Return the most confident mistakes on the evaluation images, as pictures and as ``frame``.

        Raises:
            ConfigError: The task is not classification.
        """
        import pandas

        from toolkit.explain.statistics import worst_mistakes
        from toolkit.explain.thumbnails import thumbnail

        true, predicted, confidence = self._predicted()
        images, classes = self.job.data.evaluation[1], self.job.data.classes
        rows = worst_mistakes(confidence, true == predicted, count)
        table = [
            (images.path(row), classes[true[row]], classes[predicted[row]], float(confidence[row])) for row in rows
        ]
        frame = pandas.DataFrame(table, columns=["path", "true", "predicted", "confidence"])
        shown = [
            (thumbnail(images, row), f"{says} {share:.0%}, is {truth}")
            for row, (_, truth, says, share) in zip(rows, table, strict=True)
        ]
        return Shown(frame.to_string() if table else "no mistakes", gallery_html(shown), frame)

    def predictor(self, device: str = "auto") -> Predictor:
        """Return a predictor of the exported model, which is exported now if it was not."""
        folder = self.run.inference or export_job(self.job, self.folder.inference)
        return Predictor(folder, device=device)

    def _predicted(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """True classes, predicted classes, and confidences, of the evaluation images."""
        if self.job.data.evaluation[1].has_rows:
            raise ConfigError(f"this is for classification, and the task is {self.job.config.task}")
        probabilities = softmax(self.outputs.astype(np.float64))
        return self.job.data.evaluation[1].labels, probabilities.argmax(1), probabilities.max(1)

    @property
    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.folder.metrics.read_text(encoding="utf-8").splitlines()]

    def __repr__(self) -> str:
        split = self.job.data.evaluation[0]
        shown = TASKS[self.job.config.task].shown(len(self.job.data.classes))
        numbers = ", ".join(f"{metric.title} {self.metrics[metric.name]:.4g}" for metric in shown)
        return f"{self.folder.path}: {numbers} on {len(self.job.data.evaluation[1])} {split} images"

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{self!r}</b></p>", self.plot().html]
        if not self.job.data.evaluation[1].has_rows:
            if len(self.job.data.classes) <= _MANY_CLASSES:
                parts.append(table_html(self.confusion()))
            parts.append(self.mistakes(6).html)
        return "".join(parts)


def _pretrained(weights: str | Path | bool | FineTuned) -> str | bool:
    if isinstance(weights, FineTuned):
        weights = weights.folder.best
    return weights if isinstance(weights, bool) else str(weights)


def _with(values: dict[str, Any], section: str, key: str, value: Any) -> dict[str, Any]:
    """Values with one more; ``key`` is empty for a whole section."""
    inside = dict(values.get(section, {}))
    return {**values, section: {**inside, **value} if not key else {**inside, key: value}}


def _place_of(name: str, value: Any) -> tuple[str | None, str]:
    """Where an option belongs: its section, or None, and its key, empty for a section itself.

    Raises:
        ConfigError: No option, or more than one, has this name.
    """
    top = Config.model_fields
    if name in top:
        return (name, "") if isinstance(value, Mapping) else (None, name)
    found = [section for section, fields in _sections().items() if name in fields]
    if name == "variant":  # goes with the earlier name small_different
        found = ["transfer"]
    if len(found) == 1:
        return found[0], name
    if found:
        spelled = ", ".join(f"{section}={{{name!r}: ...}}" for section in found)
        raise ConfigError(f"{name} is an option of several sections", hint=f"write one of {spelled}")
    known = sorted({*top, *(key for fields in _sections().values() for key in fields)})
    raise ConfigError(f"unknown option {name!r}", hint=did_you_mean(name, known) or f"known: {listed(known)}")


def _sections() -> dict[str, set[str]]:
    fields = {name: getattr(field.annotation, "model_fields", None) for name, field in Config.model_fields.items()}
    return {name: set(keys) for name, keys in fields.items() if keys}
