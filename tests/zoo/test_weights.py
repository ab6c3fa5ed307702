"""Weights files: what is read, and what is refused."""

from __future__ import annotations

import contextlib
import json
import pickle
import pickletools
import random
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.core.errors import WeightsError
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo import read_pickle, read_weights, write_weights
from toolkit.zoo.registry import get_spec
from toolkit.zoo.resolve import resolve_weights


def sample_state() -> dict[str, paddle.Tensor]:
    return paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4)).state_dict()


def assert_same(read: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    assert list(read) == list(state)
    for key, value in state.items():
        expected = value.numpy() if isinstance(value, paddle.Tensor) else value
        assert read[key].dtype == expected.dtype
        np.testing.assert_array_equal(read[key], expected)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_saves_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pdparams"
    paddle.save(sample_state(), str(path), protocol=protocol)
    assert_same(read_weights(path), paddle.load(str(path)))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nested_states_with_named_tensors_are_read(tmp_path: Path, protocol: int) -> None:
    """Paddle writes tensors outside of a state dict as (name, array)."""
    path = tmp_path / "a.pdopt"
    saved = {"inner": {"a": paddle.ones([2, 3])}, "numbers": [1, 2.5, np.float64(0.25), True, None], "text": "übung"}
    paddle.save(saved, str(path), protocol=protocol)
    read = read_pickle(path)
    np.testing.assert_array_equal(read["inner"]["a"][1], np.ones([2, 3], "float32"))
    assert read["numbers"] == [1, 2.5, 0.25, True, None]
    assert read["text"] == "übung"


def test_pairs_of_name_and_array_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    pair = ("linear_0.w_0", np.ones(3, "float32"))
    path.write_bytes(pickle.dumps({"w": pair, "StructuredToParameterName@@": {"w": "linear_0.w_0"}}))
    assert_same(read_weights(path), {"w": np.ones(3, "float32")})


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint16", "bool", ">f4"])
def test_every_protocol_and_number_type(tmp_path: Path, protocol: int, dtype: str) -> None:
    path = tmp_path / "a.pdparams"
    arrays = {"c": np.arange(6).reshape(2, 3).astype(dtype), "f": np.asfortranarray(np.eye(3, 2, dtype=dtype))}
    arrays |= {"empty": np.zeros((0, 4), dtype), "scalar": np.array(3, dtype)}
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))
    for key, value in read_weights(path).items():
        np.testing.assert_array_equal(value, arrays[key])
        assert value.dtype == arrays[key].dtype.newbyteorder("=")
        assert value.flags.writeable


def test_names_of_older_and_newer_numpy(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    data = pickle.dumps({"w": np.ones(3, "float32")}, protocol=2)
    old, new = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"
    for text in (data.replace(new, old), data.replace(old, new)):
        path.write_bytes(text)
        assert_same(read_weights(path), {"w": np.ones(3, "float32")})


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    raw = np.array([1.5, -2.0], "<f4").tobytes()
    text = b"".join(
        [
            b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x02\x85",
            b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"U\x08" + raw + b"tbs.",
        ]
    )
    path = tmp_path / "a.pdparams"
    path.write_bytes(text)
    assert_same(read_weights(path), {"w": np.array([1.5, -2.0], "float32")})


def test_sliced_arrays_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    halves = {"w@@.0": np.arange(3.0), "w@@.1": np.arange(3.0, 6)}
    plan = {"w": {"OriginShape": (2, 3), "slices": ["w@@.0", "w@@.1"]}}
    path.write_bytes(pickle.dumps({**halves, "UnpackBigParamInfor@@": plan}, protocol=2))
    assert_same(read_weights(path), {"w": np.arange(6.0).reshape(2, 3)})
    path.write_bytes(pickle.dumps({"w@@.0": np.arange(3.0), "UnpackBigParamInfor@@": plan}, protocol=2))
    with pytest.raises(WeightsError, match="do not fit together"):
        read_weights(path)


@pytest.mark.parametrize("name", ["a.pdparams", "a.safetensors"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    state = sample_state()
    write_weights(state, tmp_path / name)
    read = read_weights(tmp_path / name)
    assert set(read) == set(state)
    for key, value in read.items():
        np.testing.assert_array_equal(value, state[key].numpy())
    assert [p.name for p in tmp_path.iterdir()] == [name], "no temporary file is left"


def test_paddle_loads_what_is_written(tmp_path: Path) -> None:
    state = sample_state()
    write_weights(state, tmp_path / "a.pdparams")
    loaded = paddle.load(str(tmp_path / "a.pdparams"))
    other = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4))
    other.set_state_dict(loaded)
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    write_weights({"w": np.ones(2)}, path)
    with pytest.raises(TypeError):
        write_weights({"w": np.ones(2), "bad": object}, tmp_path / "a.safetensors")
    with pytest.raises(TypeError):
        write_weights({"w": np.array([lambda: 0])}, path)
    assert_same(read_weights(path), {"w": np.ones(2)})
    assert [p.name for p in tmp_path.iterdir()] == ["a.pdparams"]


class Runs:
    """A pickle that calls a function when it is loaded in the usual way."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"conv1.weight": evil}], ids=["bare", "inside"])
def test_a_pickle_that_runs_a_command_is_refused_and_nothing_runs(tmp_path: Path, protocol: int, wrap: Any) -> None:
    import os

    victim, path = tmp_path / "victim", tmp_path / "evil.pdparams"
    evil = pickle.dumps(wrap(Runs(os.system, f"touch {victim}")), protocol=protocol)
    path.write_bytes(evil)
    with pytest.raises(WeightsError, match=r"refused.*system") as caught:
        read_weights(path)
    assert "nothing in it was run" in str(caught.value.hint)
    assert not victim.exists()
    pickle.loads(evil)
    assert victim.exists(), "the file would have run the command"


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (eval, ("data", {"data": 1})),
        (exec, ("import os",)),
        (getattr, (dict, "get")),
        (__import__, ("os",)),
        (np.load, ("x",)),
        (np.frombuffer, (b"12", "u1")),
        (pickle.loads, (b"N.",)),
        (bytearray, (10,)),
        (complex, (1,)),
    ],
)
def test_other_functions_are_refused_by_name(tmp_path: Path, function: Any, args: tuple[Any, ...]) -> None:
    path = tmp_path / "evil.pdparams"
    path.write_bytes(pickle.dumps({"a": Runs(function, *args)}))
    with pytest.raises(WeightsError, match="refused"):
        read_weights(path)


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",  # a dotted name
        b"cnumpy.core.numeric\nos\n.",
        b"cnumpyevil.multiarray\n_reconstruct\n.",
        b"\x80\x02\x82\x01.",  # a code of the extension registry
        b"Pabc\n.",  # a persistent id
        b"c__builtin__\ntuple\n}U\x01aK\x01sb.",  # attributes of a built-in type
        b"cnumpy\ndtype\n}U\x01aK\x01sb.",  # attributes of our own
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR.",  # an array without data
        b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR.",  # an array of objects
    ],
)
def test_crafted_pickles_end_in_a_clear_error(tmp_path: Path, opcodes: bytes) -> None:
    path = tmp_path / "evil.pdparams"
    path.write_bytes(opcodes)
    pickletools.dis(opcodes, out=(tmp_path / "readable").open("w"))
    with pytest.raises(WeightsError):
        read_weights(path)


def test_an_array_whose_data_does_not_fit_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    data = pickle.dumps({"w": np.arange(5, dtype="int8")}, protocol=2)
    path.write_bytes(data.replace(b"K\x05", b"K\xff"))
    with pytest.raises(WeightsError, match="shape"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a weights file"),
        (b"hello, I am text\n", "not a weights file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a weights file"),
        (b"<!DOCTYPE html><title>404</title>", "not a weights file"),
        (b"PK\x03\x04" + bytes(64), "not a weights file but a zip archive, as written by torch.save"),
        (pickle.dumps([1, 2]), "holds a list"),
        (pickle.dumps({}), "holds nothing"),
        (pickle.dumps({"epoch": "one"}), "'epoch' holds a str"),
        (pickle.dumps({"model": {"w": np.ones(2)}}), "'model' holds a dict"),
        (pickle.dumps({3: np.ones(2)}), "name of an array is 3"),
        (pickle.dumps({"w": np.array(["a"])}), "not a weights file"),
        (pickle.dumps({"w": 2**100}), "'w' holds a int"),
        (pickle.dumps({"\x1b[31m\n": np.ones(2)}), r"name of an array is '\\x1b"),
        (pickle.dumps({"w" * 1000: "one"}), "w{79}[.]{3} holds a str"),
        (b"\x80\x05\x96" + bytes(2) + b"\x80" + bytes(5) + b"abc.", "claims more data than it has"),
        (b"\x80\x02]q\x00" + b"".join(b"0(h%ch%clq%c" % (i, i, i + 1) for i in range(40)) + b".", "again and again"),
    ],
)
def test_files_that_are_not_weights(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        read_weights(path)
    assert str(path) in caught.value.message


def of_header(header: bytes | dict[str, Any], data: bytes = b"1234", length: int | None = None) -> bytes:
    """A safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: list[int], begin: int = 0, end: int = 4, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (of_header({}, length=2**62), "not a weights file"),
        (of_header({}, b""), "holds nothing"),
        (of_header({"a": entry([4], 0, 16)}), "damaged"),
        (of_header({"a": entry([1], 4, 0)}), "damaged"),
        (of_header({"a": entry([1]), "b": entry([1])}), "damaged"),
        (of_header({"a": entry([1]), "b": entry([1], 8, 12)}, bytes(12)), "damaged"),
        (of_header({"a": entry([2**32, 2**32], 0, 0)}, b""), "damaged"),
        (of_header({"a": entry([1] * 100)}), "damaged"),
        (of_header({"a": entry([0, 2**60], 0, 0)}, b""), "shape of 'a' is "),
        (of_header({"a": entry([2], dtype="BF16")}), "numbers of type BF16"),
        (of_header({"a": entry([4], dtype="F8_E4M3")}), "numbers of type F8_E4M3"),
        (of_header({"a": "b"}), "damaged"),
        (of_header({"\n": entry([1])}), "name of an array"),
        (of_header(b'{"a":%b,"a":%b}' % ((json.dumps(entry([1])).encode(),) * 2)), "has a duplicate key"),
        (of_header(b'{"a":' + b"[" * 100_000), "damaged"),
        (of_header(b"{" + b" " * 2**24 + b"}"), "a header of 16,777,218 bytes"),
    ],
)
def test_hostile_safetensors(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        read_weights(path)
    assert len(str(caught.value).removeprefix(str(path)).splitlines()) == 1


@pytest.mark.parametrize("name", ["a.pdparams", "a.safetensors"])
def test_damaged_weights_raise_no_other_error(tmp_path: Path, name: str) -> None:
    path, chance = tmp_path / name, random.Random(0)
    write_weights(sample_state(), path)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(min(len(damaged), 500))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(WeightsError):
            assert all(array.size < len(whole) for array in read_weights(path).values())


def test_slices_that_swell_when_joined(tmp_path: Path) -> None:
    """One value of another type would enlarge every number of the other slices."""
    path, plan = tmp_path / "a.pdparams", {"w": {"OriginShape": (-1,), "slices": ["a", "b"]}}
    for first, second in ((np.zeros(1000, "int8"), np.zeros(1, "complex128")), (["x" * 1000], ["y"] * 1000)):
        path.write_bytes(pickle.dumps({"a": first, "b": second, "UnpackBigParamInfor@@": plan}))
        with pytest.raises(WeightsError, match="do not fit together"):
            read_weights(path)


@pytest.mark.parametrize("name", ["a.pdparams", "a.safetensors"])
def test_files_cut_short(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_weights(sample_state(), path)
    whole = path.read_bytes()
    for length in (len(whole) // 2, len(whole) - 1, 12, 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            read_weights(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read weights"):
        read_weights(tmp_path / "none.pdparams")
    with pytest.raises(WeightsError, match="cannot read weights"):
        read_weights(tmp_path)


def test_what_is_given_for_weights_is_named_with_the_file_to_give(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "inference").mkdir()
    net = paddle.nn.Linear(3, 2)
    last = run / "checkpoints" / "last.safetensors"
    TrainingState(weights={"w": np.ones((2, 2), np.float32)}).save(last)

    def said(path: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            read_weights(path)
        return f"{caught.value.message}; {caught.value.hint}"

    assert "checkpoint to resume a training from" in said(last)
    assert f"--resume '{run}'" in said(last)
    best = run / "checkpoints" / "best.pdparams"
    paddle.save(net.state_dict(), str(best))
    assert f"give {best}, the run's best weights" in said(last)
    paddle.jit.save(net, str(run / "inference" / "inference"), input_spec=[paddle.static.InputSpec([None, 3])])
    renamed = run / "inference" / "renamed.pdparams"
    renamed.write_bytes((run / "inference" / "inference.pdiparams").read_bytes())
    for path in (run / "inference" / "inference.pdiparams", renamed):
        assert "belongs to an exported model" in said(path)
        assert f"give {best}" in said(path)
    optimizers = (
        paddle.optimizer.Adam(parameters=net.parameters()),
        paddle.optimizer.Momentum(paddle.optimizer.lr.StepDecay(0.1, 3), parameters=net.parameters()),
    )
    for optimizer in optimizers:
        net(paddle.ones([1, 3])).sum().backward()
        optimizer.step()
        for name in ("model.pdopt", "other.pdparams"):
            paddle.save(optimizer.state_dict(), str(tmp_path / name))
            assert "holds an optimizer's state" in said(tmp_path / name)
    paddle.save(net.state_dict(), str(tmp_path / "model.pdparams"))
    assert f"give {tmp_path / 'model.pdparams'}" in said(tmp_path / "model.pdopt")
    with pytest.raises(WeightsError, match="is a folder") as caught:
        resolve_weights(get_spec("lenet"), str(run))
    assert str(best) in (caught.value.hint or "")
