"""Fine-tuning from Python and in notebooks, without a YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paddle
from paddle.callbacks import Callback

from toolkit.advise import Advice, advise
from toolkit.advise.notebook import ShownAdvice
from toolkit.bakeoff import BakeOff, bake_off
from toolkit.config import Config, make_config
from toolkit.core.console import shown_warnings, warn
from toolkit.core.errors import ConfigError, Interrupted
from toolkit.core.names import did_you_mean, listed
from toolkit.data.given import Data
from toolkit.engine import Job
from toolkit.fine_tuned import FineTuned
from toolkit.pages.notebook import Shown
from toolkit.trainer import Trainer
from toolkit.transfer import plan_table
from toolkit.zoo import StagedNetwork

if TYPE_CHECKING:
    pass


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
