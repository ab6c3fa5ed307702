"""Training from Python, with all that ``tools/train.py`` does: the same run folder comes out."""

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
    """Trains a job's network by its plan; then compares presets, exports and reports, as the config says.

    What is changed in ``job.network`` by hand before ``fit`` (a head, a stage, what is frozen) is trained as it is, or
    refused.

    Args:
        job: Data, network and plan (``from_config``, or ``toolkit.engine.build_job``).
        callbacks: More of Paddle's callbacks, called after those that the config names.

    Attributes:
        text: Tables and lines on what followed the training, for people.

    Example:
        >>> from toolkit import Predictor, Trainer, load_config
        >>> result = Trainer.from_config(load_config("configs/quickstart.yaml")).fit()  # doctest: +SKIP
        >>> Predictor(result).predict("digit.png")[0].label[0]  # doctest: +SKIP
    """

    text: tuple[Any, ...] = ()

    @classmethod
    def from_config(cls, config: Config, resume: Path | str | None = None) -> Trainer:
        """Build the job of a config and a trainer for it; ``transfer.preset: auto`` asks the advisor.

        Args:
            config: The job.
            resume: What ``fit`` will be given; the advice of such a run stays in its record.

        Raises:
            ToolkitError: Anything in the config that does not fit the data, the network or the machine.
        """
        device = select_device(config.train.device)
        info(f"device {device}; {cpu_settings()}")
        check_device(config.train)
        if config.train.processes > 1 and world_size() == 1:
            warn(f"train.processes: {config.train.processes} is for tools/train.py; from Python one process trains")
        asked = config.transfer.preset == "auto"
        config, advice = settle_preset(config, resume)
        return cls(replace(prepare_job(config, read_before=asked), advice=advice))

    def fit(self, resume: Path | str | None = None) -> RunResult:
        """Train, then compare presets, export, predict examples and write the report, as the config says.

        After an interruption, ``resume`` does the rest.

        Args:
            resume: Folder of an interrupted run of the same config, to go on where its newest checkpoint stands;
                ``auto`` for the newest unfinished one, if there is any.

        Returns:
            What came out, with the paths of the exported model and the report. The network holds the best epoch's
            weights.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the message says how to go on.
            ToolkitError: See ``toolkit.engine.Trainer.fit``; or a comparison or the export failed, after the training.
        """
        result = super().fit(resume)
        if not is_main_process():
            return result
        if self.was_complete and _all_is_there(self.job.config, result.folder):
            return _with_paths(result)
        with resumable(result.folder):
            result, self.text = _after_training(self.job, result)
        return result


def _all_is_there(config: Config, folder: RunFolder) -> bool:
    """Whether everything that follows a training has been done for a run."""
    if "completed" in folder.read_record():
        return True
    return folder.report.is_file() if config.export.report else not config.export.enabled or _is_exported(folder)


def _is_exported(folder: RunFolder) -> bool:
    return (folder.inference / MANIFEST_NAME).is_file()


def _with_paths(result: RunResult) -> RunResult:
    """The result of a finished run, with what is in its folder."""
    folder = result.folder
    inference, report = (folder.inference if _is_exported(folder) else None), folder.report
    return replace(result, inference=inference, report=report if report.is_file() else None)


def _after_training(job: Job, result: RunResult) -> tuple[RunResult, tuple[Any, ...]]:
    """The result with what followed the training, and words on it."""
    config = job.config
    text: list[Any] = []
    rows: list[Comparison] = []
    if config.transfer.compare:
        if job.by_hand:
            warn("transfer.compare: the other presets are trained without what was changed by hand")
        rows = compare_presets(config, result)
        part, images = job.data.evaluation
        text += [comparison_table(rows), *_lead(rows, part, len(images))]
        result = replace(result, comparison=tuple(rows), differences=tuple(differences(rows, len(images))))
    if config.export.enabled:
        folder = export_job(job, result.folder.inference)
        text.append(f"exported to {folder}; try: {command('predict', '--model', folder, 'IMAGE')}")
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


def _lead(rows: list[Comparison], part: str, images: int) -> list[str]:
    """Which preset is best, and by how much."""
    from toolkit.explain import lead_statements  # matplotlib takes time to import

    return lead_statements(rows, part, images)


def _report(job: Job, result: RunResult, rows: list[Comparison]) -> Path:
    """The run's page, on the best epoch's predictions for the evaluation images."""
    from toolkit.explain import write_report  # matplotlib takes time to import

    images, outputs = job.data.evaluation[1], result.test_outputs
    if outputs is None:
        outputs, _ = loader_outputs(job.network, FeatureSource(job).for_evaluation(images), job.config.train)
    return write_report(job, result.folder, outputs, images.labels, rows)
