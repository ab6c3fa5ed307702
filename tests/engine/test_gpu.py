"""The same job on a GPU; runs where there is one (``pytest -m gpu``)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import paddle
import pytest

from tests.engine.run_helpers import lines_of, weights_of
from tests.engine.runs.test_resume import Stops
from toolkit.config import Config, dump_config
from toolkit.core.errors import Interrupted
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo.sync_batch_norm import synchronise

pytestmark = pytest.mark.gpu
Make = Callable[..., Config]


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    if not paddle.is_compiled_with_cuda() or not paddle.device.cuda.device_count():
        pytest.skip("no GPU, or a Paddle that was built for the CPU only")
    yield
    paddle.set_device("cpu")


@pytest.mark.parametrize("preset", ["linear_probe", "all_stages"])
def test_a_job_on_the_gpu_agrees_with_the_cpu(make: Make, preset: str) -> None:
    losses = {}
    for device in ("cpu", "gpu"):
        config = make(train={"device": device}, transfer={"preset": preset}, data={"augment": "none"})
        result = Trainer.from_config(config).fit()
        assert result.folder.read_record()["device"].startswith(device)
        losses[device] = result.last["loss"]
    assert losses["gpu"] == pytest.approx(losses["cpu"], rel=1e-2)


@pytest.mark.parametrize("level", ["O1", "O2"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_learns_and_resumes(make: Make, level: str, dtype: str) -> None:
    if dtype == "bfloat16" and not paddle.amp.is_bfloat16_supported():
        pytest.skip("no bfloat16 on this GPU")
    train = {"device": "gpu", "amp": level, "amp_dtype": dtype, "epochs": 4, "lr": 1e-3}
    config = make(name="amp", train=train, transfer={"preset": "all_stages"}, data={"samples_per_class": 16})
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(4)]).fit()
    result = Trainer.from_config(config).fit(resume=config.output_dir / "amp")
    losses = [line["train"]["loss"] for line in lines_of(result.folder)]
    assert losses[-1] < losses[0]
    assert all(array.dtype != np.float16 for array in weights_of(result.folder).values())
    assert bool(TrainingState.load(result.folder.last).scaler) == (dtype == "float16")


def test_the_kernel_of_synchronised_batch_norm_agrees_with_the_plain_one() -> None:
    x = paddle.rand([4, 3, 8, 8])
    plain, other = paddle.nn.BatchNorm2D(3), paddle.nn.BatchNorm2D(3)
    synchronise(other)  # over one process: the same
    np.testing.assert_allclose(other(x).numpy(), plain(x).numpy(), atol=1e-5)
    np.testing.assert_allclose(other._mean.numpy(), plain._mean.numpy(), atol=1e-6)


def test_two_gpus_share_the_statistics_of_batch_norm(make: Make, repo: Path, tmp_path: Path) -> None:
    if paddle.device.cuda.device_count() < 2:
        pytest.skip("only one GPU")
    train = {"device": "gpu", "sync_batch_norm": True, "optimizer": "sgd"}
    transfer = {"preset": "all_stages", "batch_norm": "train"}
    config = make(train=train, transfer=transfer, data={"augment": "none", "batch_size": 3})
    (tmp_path / "two.yaml").write_text(dump_config(config), encoding="utf-8")
    words = [sys.executable, "-m", "paddle.distributed.launch", "--gpus", "0,1", "--log_dir", str(tmp_path / "log")]
    subprocess.run([*words, str(repo / "tools/train.py"), "-c", str(tmp_path / "two.yaml")], check=True, timeout=600)
    whole = make(name="one", train=train, transfer=transfer, data={"augment": "none", "batch_size": 6})
    alone = Trainer.from_config(whole).fit()
    shared = lines_of(RunFolder(config.output_dir / "job"))
    assert [line["train"]["loss"] for line in shared] == pytest.approx(
        [line["train"]["loss"] for line in lines_of(alone.folder)], rel=1e-2
    )
