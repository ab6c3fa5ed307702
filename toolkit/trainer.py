"""Training from Python with everything that ``paddle-finetune train`` does, into the same run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit import engine
from toolkit.advise import settle_preset
from toolkit.bakeoff import Comparison, compare_presets, comparison_table
from toolkit.bakeoff.statistics import differences
from toolkit.config import Config
from toolkit.core.console import command, info, warn
from toolkit.core.runtime import cpu_settings, is_main_process, select_device, world_size
from toolkit.deploy import Predictor, export_job, show_examples
from toolkit.deploy.manifest import MANIFEST_NAME
from toolkit.engine import Job, RunFolder, RunResult, prepare_job
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.learning.precision import check_device
from toolkit.engine.runs.record import now
from toolkit.engine.signals import resumable


class Trainer(engine.Trainer):
    """Train a job's network according to its plan; then compare presets, export and report, as set in the config.

    Manual changes to ``job.network`` before ``fit`` (a head, a stage, frozen layers) are either respected or refused.

    Args:
        job: Data, network and plan (from ``from_config`` or ``toolkit.engine.build_job``).
        callbacks: Additional Paddle callbacks, called after those in the config.

    Attributes:
        text: Tables and lines about the steps after training.

    Example:
        >>> from toolkit import Predictor, Trainer, load_config
        >>> result = Trainer.from_config(load_config("configs/quickstart.yaml")).fit()  # doctest: +SKIP
        >>> Predictor(result).predict("digit.png")[0].label[0]  # doctest: +SKIP
    """

    text: tuple[Any, ...] = ()

    @classmethod
    def from_config(cls, config: Config, resume: Path | str | None = None) -> Trainer:
        """Build a trainer from a config; ``transfer.preset: auto`` asks the advisor.

        Args:
            config: The job.
            resume: The value that will be passed to ``fit``; the advice of a resumed run is kept in its record.

        Raises:
            ToolkitError: The config does not suit the data, the network or the machine.
        """
        device = select_device(config.train.device)
        info(f"device {device}; {cpu_settings()}")
        check_device(config.train)
        if config.train.processes > 1 and world_size() == 1:
            warn(f"train.processes: {config.train.processes} is for the command; from Python, one process trains")
        asked = config.transfer.preset == "auto"
        config, advice = settle_preset(config, resume)
        return cls(replace(prepare_job(config, read_before=asked), advice=advice))

    def fit(self, resume: Path | str | None = None) -> RunResult:
        """Train, then compare presets, export, predict examples and write the report, as set in the config.

        After an interruption, ``resume`` completes the remaining steps.

        Args:
            resume: Folder of an interrupted run of the same config, to continue from its newest checkpoint; ``auto``
                for the newest unfinished run, if there is one.

        Returns:
            The result, with the paths of the exported model and the report. The network holds the weights of the best
            epoch.

        Raises:
            Interrupted: Ctrl-C or SIGTERM was received; the message tells how to continue.
            ToolkitError: See ``toolkit.engine.Trainer.fit``; or a comparison or the export failed after training.
        """
        result = super().fit(resume)
        if not is_main_process():
            return result
        if self.was_complete and _is_complete(self.job.config, result.folder):
            return _with_paths(result)
        with resumable(result.folder):
            result, self.text = _after_training(self.job, result)
        return result


def _is_complete(config: Config, folder: RunFolder) -> bool:
    """Return whether all steps after training are done for a run."""
    if "completed" in folder.read_record():
        return True
    return folder.report.is_file() if config.export.report else not config.export.enabled or _is_exported(folder)


def _is_exported(folder: RunFolder) -> bool:
    return (folder.inference / MANIFEST_NAME).is_file()


def _with_paths(result: RunResult) -> RunResult:
    """Add the files in a finished run's folder to its result."""
    folder = result.folder
    inference, report = (folder.inference if _is_exported(folder) else None), folder.report
    return replace(result, inference=inference, report=report if report.is_file() else None)


def _after_training(job: Job, result: RunResult) -> tuple[RunResult, tuple[Any, ...]]:
    """Run the steps after training; return the extended result, and text about it."""
    config = job.config
    text: list[Any] = []
    rows: list[Comparison] = []
    if config.transfer.compare:
        if job.by_hand:
            warn("transfer.compare: the other presets are trained without your manual changes")
        rows = compare_presets(config, result)
        split, images = job.data.evaluation
        text += [comparison_table(rows), *_lead(rows, split, len(images))]
        result = replace(result, comparison=tuple(rows), differences=tuple(differences(rows, len(images))))
    if config.export.enabled:
        folder = export_job(job, result.folder.inference)
        text.append(f"exported to {folder}; try: {command('predict', result.folder.path, 'IMAGE')}")
        result = replace(result, inference=folder)
        if config.export.examples:
            examples, table = show_examples(Predictor(folder), job.data.evaluation[1], config.export.examples)
            text.append(table)
            result = replace(result, examples=tuple(examples))
    if config.export.report:
        result = replace(result, report=_report(job, result, rows))
        text.append(f"report: {result.report}")
    result.folder.write_record({**result.folder.read_record(), "completed": now()})
    return result, tuple(text)


def _lead(rows: list[Comparison], split: str, images: int) -> list[str]:
    """Describe which preset is best, and by how much."""
    from toolkit.explain import lead_statements  # matplotlib takes time to import

    return lead_statements(rows, split, images)


def _report(job: Job, result: RunResult, rows: list[Comparison]) -> Path:
    """Write the run's report on the predictions of the best epoch for the evaluation images."""
    from toolkit.explain import write_report  # matplotlib takes time to import

    images, outputs = job.data.evaluation[1], result.test_outputs
    if outputs is None:
        outputs, _ = loader_outputs(job.network, FeatureSource(job).for_evaluation(images), job.config.train)
    return write_report(job, result.folder, outputs, images.labels, rows)
