"""Every network in every engine, compared with dygraph: what agrees, what differs, and what crashes.

python benchmarks/engines.py run [NETWORK ...]       # resume; one child process per network
python benchmarks/engines.py table                   # engines.jsonl -> engines.md

Networks have random weights (fixed seed). BatchNorm statistics are measured on the images, so activations neither
vanish nor explode, and constants (scales, biases, tokens) are perturbed, so no branch is inactive. Each network is
tried at its own size and at an odd one: 97 pixels, or the nearest it accepts. The logits of three images are
compared, as a batch of three and one by one: the largest difference as a share of the largest logit.

Each line of ``engines.jsonl`` is one engine at one size: ``network``, ``size``, ``engine``, ``result`` (``ok``,
``differs``, ``died``, ``refused``), ``difference``, ``detail``, ``seconds``, ``paddle``. A line with the result
``began`` and no later one is an interrupted process; it is tried again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import numpy as np  # noqa: E402

RESULTS = Path(__file__).with_suffix(".jsonl")
TABLE = Path(__file__).with_suffix(".md")
ENGINES = ("paddle", "paddle without oneDNN", "onnx")
ODD, COUNT, LIMIT = 97, 3, 900.0


def sizes(name: str) -> list[int]:
    """The network's own size, and an odd one that it accepts."""
    from toolkit.zoo import get_spec

    spec = get_spec(name)
    odd = max(spec.min_size, min(ODD, spec.max_size or ODD))
    return sorted({spec.input_size, odd}, reverse=True)


def images_of(size: int) -> np.ndarray:
    """Smooth random images with some noise, float32 ``[COUNT, 3, size, size]``, approximately normal."""
    import cv2

    random = np.random.default_rng(size)
    coarse = [
        cv2.resize(random.normal(size=(7, 7, 3)), (size, size), interpolation=cv2.INTER_CUBIC) for _ in range(COUNT)
    ]
    smooth = np.stack(coarse).transpose(0, 3, 1, 2)
    return (1.3 * smooth + 0.2 * random.normal(size=smooth.shape)).astype(np.float32)


def lively(network: Any, images: np.ndarray) -> None:
    """Give a network weights with which every branch matters; statistics are measured on the images."""
    import paddle
    from paddle import nn

    random = np.random.default_rng(1)
    for value in network.parameters():
        array = value.numpy()
        if array.size > 1 and array.std() == 0:  # a scale, a bias, a token: still at its initial constant
            mean = float(array.flat[0])
            low = abs(mean) < 1e-2
            value.set_value(
                (random.normal(0, 0.1, array.shape) if low else mean * random.uniform(0.8, 1.2, array.shape)).astype(
                    array.dtype
                )
            )
    norms = [layer for layer in network.sublayers() if hasattr(layer, "_momentum") and hasattr(layer, "_variance")]
    if not norms:
        return
    kept = [layer._momentum for layer in norms]
    for layer in norms:
        layer._momentum = 0.0
    network.train()
    with paddle.no_grad():
        network(paddle.to_tensor(images))
    network.eval()
    for layer, momentum in zip(norms, kept, strict=True):
        layer._momentum = momentum
        variance = layer._variance.numpy()
        layer._variance.set_value(np.maximum(variance, 1e-3 * max(float(variance.mean()), 1e-6)))
    assert isinstance(network, nn.Layer)


def loaded(engine: str, model: Path, params: Path, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images to logits."""
    from toolkit.inference import InferenceSession, OnnxSession, convert_program

    if engine == "onnx":
        return OnnxSession(convert_program(model, params, folder / "model.onnx")).run
    return InferenceSession(model, params, onednn=engine == "paddle").run


def difference(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a share of the largest value, over a batch and single images."""
    found = [run(images), np.concatenate([run(images[i : i + 1]) for i in range(COUNT)])]
    return float(max(np.abs(one - expected).max() for one in found) / np.abs(expected).max())


def child(name: str, done: set[tuple[int, str]]) -> None:
    """Try one network; each trial is recorded before it starts, so the parent knows what killed this process."""
    import toolkit  # noqa: F401 - sets Paddle's environment
    from toolkit.core.runtime import import_paddle

    import_paddle()
    import paddle

    paddle.disable_signal_handler()  # it hangs if the heap is damaged

    from toolkit.core.errors import ToolkitError
    from toolkit.inference import TOLERANCE, save_program
    from toolkit.zoo import create_network

    for size in sizes(name):
        left = [engine for engine in ENGINES if (size, engine) not in done]
        if not left:
            continue
        paddle.seed(1)
        np.random.seed(1)
        images = images_of(size)
        network = create_network(name, 10, image_size=size)
        lively(network, images_of(max(sizes(name))))  # at 97 pixels the last maps are too small for statistics
        network.eval()
        with paddle.no_grad():
            expected = network(paddle.to_tensor(images)).numpy()
        if not np.isfinite(expected).all() or np.abs(expected - expected[:1]).max() < 1e-3 * np.abs(expected).max():
            write(name, size, "dygraph", "refused", detail="the logits are not informative")
        with tempfile.TemporaryDirectory() as folder:
            model, params = save_program(network, Path(folder), (3, size, size))
            for engine in left:
                write(name, size, engine, "began")
                start = time.monotonic()
                try:
                    share = difference(loaded(engine, model, params, Path(folder)), images, expected)
                except ToolkitError as error:
                    write(name, size, engine, "refused", detail=error.message.replace(folder, "").strip())
                    continue
                result = "ok" if share <= TOLERANCE else "differs"
                number = share if np.isfinite(share) else None  # JSON has no NaN
                write(name, size, engine, result, difference=number, seconds=time.monotonic() - start)


def write(name: str, size: int, engine: str, result: str, **facts: Any) -> None:
    """Add a line to the results."""
    from importlib.metadata import version

    line = {"network": name, "size": size, "engine": engine, "result": result, **facts}
    if result != "began":
        line["paddle"] = version("paddlepaddle")
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def rows() -> list[dict[str, Any]]:
    """The last line of each network, size and engine."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    found = {(row["network"], row["size"], row["engine"]): row for row in map(json.loads, lines)}
    return list(found.values())


def finished(name: str) -> set[tuple[int, str]]:
    """Sizes and engines that are done."""
    return {(row["size"], row["engine"]) for row in rows() if row["network"] == name and row["result"] != "began"}


def in_order() -> Iterator[str]:
    """The cheapest network of each family first, then the others by increasing cost."""
    from toolkit.zoo import get_spec, list_networks
    from toolkit.zoo.measurements import measured_networks

    cost = {name: measured_networks()[name].macs for name in list_networks()}
    families: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(cost, key=cost.__getitem__):
        letters = re.match("[A-Za-z]+", name.removeprefix("clas/"))
        families[get_spec(name).library, letters[0] if letters else name].append(name)
    first = [names[0] for names in families.values()]
    yield from first
    yield from (name for name in sorted(cost, key=cost.__getitem__) if name not in first)


def run(names: list[str]) -> None:
    """Try networks, each in a process that may crash."""
    for name in names or list(in_order()):
        for _ in range(2 * len(ENGINES) + 1):
            begin = time.monotonic()
            code, said = spawn(name)
            began = [row for row in rows() if row["network"] == name and row["result"] == "began"]
            if began:
                cause = "timeout" if code is None else signal.Signals(-code).name if code < 0 else f"exit {code}"
                write(name, began[-1]["size"], began[-1]["engine"], "died", detail=cause)
            elif code != 0:
                write(
                    name,
                    0,
                    "dygraph",
                    "refused",
                    detail=said.strip().splitlines()[-1][:200] if said.strip() else f"exit {code}",
                )
                break
            else:
                break
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)


def spawn(name: str) -> tuple[int | None, str]:
    """Exit code (None: timeout) and errors of a process that tries a network."""
    command = [sys.executable, __file__, "child", name]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    if sys.platform.startswith("linux"):  # a kernel that writes out of bounds ends the process at once
        environment |= {"LD_PRELOAD": "libc_malloc_debug.so.0", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr


def table() -> str:
    """The results as a page."""
    found: dict[tuple[str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows():
        if row["result"] != "began" and row["engine"] in ENGINES:
            found[row["network"], row["size"]][row["engine"]] = row
    everything = [row for engines in found.values() for row in engines.values()]
    good = [row["difference"] for row in everything if row["result"] == "ok"]
    bad = [row["difference"] or np.inf for row in everything if row["result"] == "differs"]
    networks, known = {name for name, _ in found}, list(in_order())
    missing = [name for name in known if name not in networks]
    lines = [
        "# Engines compared with dygraph",
        "",
        f"Generated by `python benchmarks/engines.py table` from `engines.jsonl`: {len(networks)} of {len(known)} "
        f"networks, each at its own size and at an odd one; Paddle "
        f"{', '.join(sorted({row['paddle'] for row in everything}))} on an AMD EPYC with AVX2. "
        "The docstring of `engines.py` says what is compared, and how.",
        "",
        f"Of {len(everything)} trials, {len(good)} agree to within {max(good):.1e} of the largest logit; "
        f"{len(bad)} differ, by at least {min(bad, default=0):.2g}. The table lists what does not agree; the file has "
        "all results.",
        "",
        "| network | pixels | Paddle Inference with oneDNN | without | ONNX Runtime |",
        "|---|---|---|---|---|",
    ]
    for (name, size), engines in sorted(found.items()):
        if any(row["result"] != "ok" for row in engines.values()):
            lines.append(f"| {name} | {size} | " + " | ".join(cell(engines.get(engine)) for engine in ENGINES) + " |")
    if missing:
        lines += ["", f"Not tried yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def cell(row: dict[str, Any] | None) -> str:
    """A result as a table cell."""
    if row is None:
        return "not tried"
    if row["result"] == "differs" and row["difference"] is None:
        return "**gives NaN**"
    if row["result"] in ("ok", "differs"):
        text = f"{row['difference']:.1e}"
        return text if row["result"] == "ok" else f"**off by {row['difference']:.2g}**"
    return f"**{row['result']}**: {row.get('detail', '')}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "child"))
    parser.add_argument("networks", nargs="*")
    args = parser.parse_args()
    if args.what == "child":
        child(args.networks[0], finished(args.networks[0]))
    elif args.what == "run":
        run(args.networks)
    else:
        TABLE.write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()
