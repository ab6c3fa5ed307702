"""The same job on a GPU; runs where there is one (``pytest -m gpu``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import paddle
import pytest

from toolkit.config import Config
from toolkit.engine import Trainer

pytestmark = pytest.mark.gpu
Make = Callable[..., Config]


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    if not paddle.is_compiled_with_cuda() or not paddle.device.cuda.device_count():
        pytest.skip("no GPU, or a Paddle that was built for the CPU only")
    yield
    paddle.set_device("cpu")


@pytest.mark.parametrize("preset", ["linear_probe", "finetune"])
def test_a_job_on_the_gpu_agrees_with_the_cpu(make: Make, preset: str) -> None:
    losses = {}
    for device in ("cpu", "gpu"):
        config = make(train={"device": device}, transfer={"preset": preset}, data={"augment": "none"})
        result = Trainer.from_config(config).fit()
        assert result.folder.read_record()["device"].startswith(device)
        losses[device] = result.last["loss"]
    assert losses["gpu"] == pytest.approx(losses["cpu"], rel=1e-2)
