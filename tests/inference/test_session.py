"""Paddle Inference is configured as intended, and its errors take one line."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import inference, nn

from toolkit.core.errors import DeployError
from toolkit.inference import InferenceSession, OnnxSession, convert_program, onnx_is_installed, save_program
from toolkit.inference import session as session_module
from toolkit.inference.session import paddle_says


class Tiny(nn.Layer):
    """A convolution and the mean of its map."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2D(3, 4, 3)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.convolution(image).mean([2, 3])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    paddle.seed(0)
    return save_program(Tiny(), tmp_path_factory.mktemp("program"), (3, 32, 32))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype("float32")


def configured(monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], **options: object) -> inference.Config:
    seen: list[inference.Config] = []
    original = session_module._configure
    monkeypatch.setattr(session_module, "_configure", lambda *args: seen.append(original(*args)) or seen[-1])
    InferenceSession(*files, **options)
    return seen[-1]


def test_a_cpu_gets_onednn_threads_and_silence(monkeypatch, files) -> None:
    config = configured(monkeypatch, files, threads=2)
    assert config.mkldnn_enabled()
    assert config.cpu_math_library_num_threads() == 2
    assert config.glog_info_disabled()
    assert not config.use_gpu()


class RecordingConfig:
    """Stands in for Paddle's Config where there is no GPU."""

    def __init__(self, *_: str) -> None:
        self.calls: list[tuple] = []

    def __getattr__(self, name: str):
        return lambda *args: self.calls.append((name, *args))


def test_a_gpu_gets_its_number_and_no_onednn(monkeypatch, files) -> None:
    monkeypatch.setattr(session_module.inference, "Config", RecordingConfig)
    calls = session_module._configure(*files, "gpu:1", 2, True).calls
    assert ("enable_use_gpu", 100, 1) in calls
    names = {name for name, *_ in calls}
    assert not {"enable_mkldnn", "enable_onednn", "disable_gpu"} & names


@pytest.mark.parametrize("modern", [True, False])
def test_both_spellings_of_onednn(monkeypatch, files, modern: bool) -> None:
    class Config(RecordingConfig):
        def __getattr__(self, name: str):
            if "onednn" in name and not modern:
                raise AttributeError(name)
            return super().__getattr__(name)

    monkeypatch.setattr(session_module.inference, "Config", Config)
    names = {name for name, *_ in session_module._configure(*files, "cpu", 2, True).calls}
    assert ("enable_onednn" if modern else "enable_mkldnn") in names


def test_files_that_are_no_model(tmp_path: Path, files) -> None:
    params = tmp_path / "inference.pdiparams"
    params.write_bytes(b"x" * 1000)
    with pytest.raises(DeployError, match="cannot load") as caught:
        InferenceSession(files[0], params)
    assert "\n" not in str(caught.value)


def test_a_batch_that_does_not_fit(files) -> None:
    with pytest.raises(DeployError, match="failed on a batch of shape") as caught:
        InferenceSession(*files).run(np.zeros((1, 5, 32, 32), np.float32))
    assert "\n" not in str(caught.value)


def test_several_threads_may_call(files, images) -> None:
    session = InferenceSession(*files)
    expected = [session.run(images[i : i + 1]) for i in range(len(images))]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(50):
            if not np.array_equal(session.run(images[index : index + 1]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_telling_line_of_an_error() -> None:
    error = ValueError(
        "\n\n---\nC++ Traceback\n---\n(InvalidArgument) The size is wrong.\n  [Hint: ...] (at /x.cc:1)\n"
    )
    assert paddle_says(error) == "(InvalidArgument) The size is wrong."
    assert paddle_says(ValueError("plain")) == "plain"
    assert paddle_says(KeyError()) == "KeyError"


@pytest.mark.skipif(not onnx_is_installed(), reason="ONNX Runtime is not installed: pip install -e '.[onnx]'")
def test_conversion_to_onnx_is_silent_and_the_same(
    files: tuple[Path, Path], images: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = InferenceSession(*files).run(images)
    capfd.readouterr()
    converted = convert_program(*files, tmp_path / "tiny.onnx")
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(OnnxSession(converted).run(images), expected, atol=1e-6)
    with pytest.raises(DeployError, match="cannot convert"):
        convert_program(tmp_path / "missing.json", files[1], tmp_path / "other.onnx")
    print("heard again")
    assert capfd.readouterr().out == "heard again\n"
