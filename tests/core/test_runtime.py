"""CPU settings, ranks, seeds and devices."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit.core import runtime
from toolkit.core.errors import DeviceError
from toolkit.core.runtime import (
    CpuSettings,
    is_main_process,
    rank,
    seed_everything,
    select_device,
    versions,
    world_size,
)

CPU_VARIABLES = ("OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "KMP_BLOCKTIME")
SHOW = (
    "import json, os, toolkit.core.runtime as r; from dataclasses import asdict;"
    f"print(json.dumps([asdict(r.cpu_settings()), {{k: os.environ.get(k) for k in {CPU_VARIABLES}}}]))"
)


def settings_of(code: str, **environment: str) -> tuple[dict[str, object], dict[str, str | None]]:
    """CPU settings and variables of a new process that runs ``code``."""
    clean = {key: value for key, value in os.environ.items() if key not in CPU_VARIABLES}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean | environment
    )
    settings, variables = json.loads(result.stdout)
    return settings, variables


def test_importing_the_toolkit_sets_threads() -> None:
    settings, variables = settings_of(SHOW)
    cores = str(runtime.available_cores())
    assert variables["OMP_NUM_THREADS"] == settings["threads"] == cores
    assert settings["threads_from"] == "toolkit"
    assert settings["in_time"] is True
    assert variables["MKL_DEBUG_CPU_TYPE"] == settings["mkl_debug_cpu_type"]
    assert variables["KMP_BLOCKTIME"] == "1"


def test_what_the_user_has_set_stays() -> None:
    theirs = {"OMP_NUM_THREADS": "3", "MKL_DEBUG_CPU_TYPE": "4", "KMP_BLOCKTIME": "200"}
    settings, variables = settings_of(SHOW, **theirs)
    assert variables == theirs
    assert settings["threads_from"] == "environment"


def test_settings_that_come_too_late_are_owned_up_to() -> None:
    settings, variables = settings_of(f"import sys; sys.modules['paddle'] = sys; {SHOW}")
    assert settings["in_time"] is False
    assert variables["OMP_NUM_THREADS"] is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept_unless_the_user_says_otherwise() -> None:
    faults = (
        "import json, resource, toolkit, toolkit.core.runtime as r, numpy as np\n"
        "np.ones(5_000_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): np.ones(5_000_000)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "print(json.dumps([{'kept': r.cpu_settings().memory_kept, 'faults': after - before}, {}]))"
    )
    kept, system = (settings_of(faults, **more)[0] for more in ({}, {"PADDLE_FINETUNE_MALLOC": "system"}))
    if not kept["kept"]:
        pytest.skip("this C library is not glibc")
    assert system["kept"] is False
    assert int(str(kept["faults"])) < int(str(system["faults"])) / 10
    assert settings_of(faults, GLIBC_TUNABLES="glibc.malloc.check=0")[0]["kept"] is False


def test_settings_in_words() -> None:
    assert str(CpuSettings("2", "toolkit", "5", True)) == "OMP_NUM_THREADS=2 (set by the toolkit), MKL_DEBUG_CPU_TYPE=5"
    assert "not in effect" in str(CpuSettings("1", "environment", None, False))


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("vendor_id : AuthenticAMD\nflags : sse avx2", True),
        ("vendor_id : AuthenticAMD\nflags : sse", False),
        ("vendor_id : GenuineIntel\nflags : sse avx2", False),
    ],
)
def test_amd_processors_are_known(cpuinfo: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.Path, "read_text", lambda *_, **__: cpuinfo)
    assert runtime._is_amd_with_avx2() is expected


def test_rank_and_world_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PADDLE_TRAINER_ID", raising=False)
    monkeypatch.delenv("PADDLE_TRAINERS_NUM", raising=False)
    assert (rank(), world_size(), is_main_process()) == (0, 1, True)
    monkeypatch.setenv("PADDLE_TRAINER_ID", "1")
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    assert (rank(), world_size(), is_main_process()) == (1, 2, False)


def test_one_seed_seeds_all() -> None:
    import paddle

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), paddle.rand([1]).item()

    seed_everything(7)
    first = draw()
    other = draw()
    seed_everything(7)
    assert draw() == first
    assert first != other


def test_the_cpu_can_always_be_chosen() -> None:
    import paddle

    assert select_device("cpu") == "cpu"
    assert paddle.get_device() == "cpu"


@pytest.mark.parametrize(
    ("gpus", "wanted", "expected"),
    [(0, "auto", "cpu"), (2, "auto", "gpu:0"), (2, "gpu", "gpu:0"), (2, "gpu:1", "gpu:1")],
)
def test_devices(gpus: int, wanted: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = pretend_gpus(gpus, monkeypatch)
    assert select_device(wanted) == expected
    assert chosen == [expected]


def test_each_process_of_a_job_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGS_selected_gpus", "1")
    pretend_gpus(2, monkeypatch)
    assert select_device("auto") == "gpu:1"


@pytest.mark.parametrize(
    ("gpus", "message"), [(None, "was built for the CPU only"), (0, r"sees 0 GPU"), (1, r"sees 1 GPU")]
)
def test_a_gpu_that_is_not_there(gpus: int | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = pretend_gpus(gpus, monkeypatch)
    with pytest.raises(DeviceError, match=message) as caught:
        select_device("gpu:1")
    assert "train.device: auto" in str(caught.value.hint)
    assert not chosen


def pretend_gpus(count: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make Paddle see ``count`` GPUs (None: built for the CPU only); returns the list of devices that are set."""
    import paddle

    chosen: list[str] = []
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: count is not None)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: count or 0)
    monkeypatch.setattr(paddle, "set_device", chosen.append)
    return chosen


def test_a_run_can_name_its_versions() -> None:
    import paddle

    import toolkit

    found = versions()
    assert found["toolkit"] == toolkit.__version__
    assert found["paddle"] == paddle.__version__
    assert found["cpu"]["threads"] == os.environ["OMP_NUM_THREADS"]
    assert json.loads(json.dumps(found)) == found


def test_the_device_that_was_chosen_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import toolkit

    class BuiltError(Exception):
        """The job would be built now."""

    def build(*_: object, **__: object) -> None:
        raise BuiltError

    pretend_gpus(1, monkeypatch)
    monkeypatch.setattr("toolkit.trainer.prepare_job", build)
    values = {"name": "a", "model": "lenet", "data": {"format": "digits"}, "output_dir": tmp_path}
    with pytest.raises(BuiltError):
        toolkit.Trainer.from_config(toolkit.config.make_config(values))
    assert "device gpu:0; " in capsys.readouterr().err
