"""Training one run of a bake-off: in this process, or in one of its own."""

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
"""Seconds that a run may take to save itself."""
_KILLED = -int(signal.SIGKILL) if hasattr(signal, "SIGKILL") else None


@dataclass(frozen=True)
class TrialRequest:
    """What to train.

    Attributes:
        config: The run.
        rungs: Where it may be stopped as hopeless.
        seconds: Time that is left for it; None: enough.
        export: Export it too, to know the size of the model.
        resume: Folder of a run that was begun.
    """

    config: Config
    rungs: tuple[HalvingRung, ...] = ()
    seconds: float | None = None
    export: bool = False
    resume: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the run's process."""
        return {
            "config": self.config.model_dump(mode="json"),
            "rungs": [asdict(rung) for rung in self.rungs],
            "seconds": self.seconds,
            "export": self.export,
            "resume": str(self.resume) if self.resume else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrialRequest:
        """The request that ``to_json`` wrote."""
        return cls(
            make_config(values["config"]),
            tuple(HalvingRung(**rung) for rung in values["rungs"]),
            values["seconds"],
            values["export"],
            Path(values["resume"]) if values["resume"] else None,
        )


@dataclass(frozen=True)
class TrialResult:
    """What became of a request.

    Attributes:
        status: ``done``; ``paused``: its time was over, and it can go on; or ``failed``.
        message: Why it failed.
    """

    status: Literal["done", "paused", "failed"]
    message: str = ""


def train_here(request: TrialRequest, *, apart: bool = False) -> TrialResult:
    """Train in this process.

    Args:
        request: What to train.
        apart: This process trains nothing else, so that its memory is the run's.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came.
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
    """Train in a process of its own: its memory is the run's alone, and what kills it kills nothing else.

    Its messages go to ``<name>.log`` beside the run. It ends with this process, however that ends.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the run has saved itself.
    """
    folder = request.config.output_dir
    answer, log = folder.resolve() / f".{request.config.name}.answer", folder / f"{request.config.name}.log"
    answer.unlink(missing_ok=True)
    place = os.pathsep.join(filter(None, [str(Path(toolkit.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "toolkit.bakeoff.worker", str(answer)],
            stdin=subprocess.PIPE, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": place},
            start_new_session=True,  # Ctrl-C in a terminal goes to this process alone, which passes it on once
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
    why = "the system killed it: was there too little memory?" if code == _KILLED else f"exit code {code}"
    return TrialResult("failed", f"{why}; see {log}")


def train_quietly(request: TrialRequest) -> TrialResult:
    """``train_here`` without its messages."""
    with quietly():
        return train_here(request)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the run save itself; when it does not, or somebody presses Ctrl-C again, it is killed."""
    try:
        process.terminate()
        process.wait(_GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
