"""Train one run of a bake-off, in this process or in a separate one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import toolkit
from toolkit.bakeoff.trial import FACTS
from toolkit.bakeoff.trial_monitor import HalvingRung, TrialMonitor
from toolkit.config import Config, make_config
from toolkit.core.console import quietly
from toolkit.core.errors import Interrupted, ToolkitError
from toolkit.core.files import write_json
from toolkit.deploy import export_job
from toolkit.engine import Trainer, prepare_job
from toolkit.engine.runs.checkpoints import load_newest

_GRACE = 60.0
"""Seconds that a run may take to save its state."""
_KILLED = -int(signal.SIGKILL) if hasattr(signal, "SIGKILL") else None


@dataclass(frozen=True)
class TrialRequest:
    """A request to train one run.

    Attributes:
        config: Config of the run.
        rungs: Points at which it may be stopped early.
        seconds: Remaining time; None: unlimited.
        export: Also export the model, to determine its size.
        resume: Folder of an unfinished run to continue.
    """

    config: Config
    rungs: tuple[HalvingRung, ...] = ()
    seconds: float | None = None
    export: bool = False
    resume: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the run's process."""
        return {
            "config": self.config.model_dump(mode="json"),
            "rungs": [asdict(rung) for rung in self.rungs],
            "seconds": self.seconds,
            "export": self.export,
            "resume": str(self.resume) if self.resume else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrialRequest:
        """Read a request written by ``to_json``."""
        return cls(
            make_config(values["config"]),
            tuple(HalvingRung(**rung) for rung in values["rungs"]),
            values["seconds"],
            values["export"],
            Path(values["resume"]) if values["resume"] else None,
        )


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a request.

    Attributes:
        status: ``done``; ``paused``: it ran out of time and can be continued; or ``failed``.
        message: Reason for the failure.
    """

    status: Literal["done", "paused", "failed"]
    message: str = ""


def train_here(request: TrialRequest, *, apart: bool = False) -> TrialResult:
    """Train in this process.

    Args:
        request: What to train.
        apart: This process trains nothing else, so its memory is the run's.

    Raises:
        Interrupted: Ctrl-C or SIGTERM was received.
    """
    monitor = None
    try:
        job = prepare_job(request.config)
        monitor = TrialMonitor(f"val/{job.objective.task.main.name}", request.rungs, request.seconds)
        trainer = Trainer(job, callbacks=[monitor])
        result = trainer.fit(resume=request.resume)
        if trainer.was_complete:  # the process ended between the last epoch and the facts below
            seen = load_newest(result.folder).callbacks.get(TrialMonitor.state_key)
            if seen is not None:
                monitor.set_state_dict(seen)
        facts = {"clock": monitor.clock, "halted": monitor.halted, "memory": monitor.memory if apart else None}
        if request.export:
            exported = export_job(trainer.job, result.folder.inference)
            facts["exported"] = sum(file.stat().st_size for file in exported.iterdir() if file.is_file())
    except Interrupted:
        if monitor is not None and monitor.out_of_time:
            return TrialResult("paused")
        raise
    except ToolkitError as error:
        return TrialResult("failed", str(error))
    write_json(result.folder.path / FACTS, facts)
    return TrialResult("done")


def train_apart(request: TrialRequest) -> TrialResult:
    """Train in a separate process, so that its memory is the run's own, and a crash affects nothing else.

    Messages go to ``<name>.log`` next to the run. The process ends with this one, however that ends.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM was received; the run has saved its state.
    """
    folder = request.config.output_dir
    answer, log = folder.resolve() / f".{request.config.name}.answer", folder / f"{request.config.name}.log"
    answer.unlink(missing_ok=True)
    python_path = os.pathsep.join(filter(None, [str(Path(toolkit.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "toolkit.bakeoff.worker", str(answer)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": python_path},
            start_new_session=True,  # Ctrl-C in a terminal only reaches this process, which passes it on once
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request.to_json()).encode() + b"\n")
            process.stdin.flush()
            code = process.wait()
        except BrokenPipeError:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            process.stdin.close()
    if answer.is_file():
        found = TrialResult(**json.loads(answer.read_text(encoding="utf-8")))
        answer.unlink()
        return found
    if code == 130:
        raise Interrupted(f"{request.config.name}: interrupted")
    why = "the system killed it, perhaps for lack of memory" if code == _KILLED else f"exit code {code}"
    return TrialResult("failed", f"{why}; see {log}")


def train_quietly(request: TrialRequest) -> TrialResult:
    """Run ``train_here`` without messages."""
    with quietly():
        return train_here(request)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the run save its state; kill it if it does not, or on another Ctrl-C."""
    try:
        process.terminate()
        process.wait(_GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
