"""Write a network's weights, in Paddle's format and as arrays, with one image and its logits to check other libraries.

python benchmarks/ours/weights.py NETWORK TARGET.npz --images FOLDER [--pretrained FILE.pdparams]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import toolkit  # noqa: F401 - sets Paddle's environment

# isort: split
import numpy as np
import paddle
from paddle.vision import models

from toolkit.data import Preprocessing, read_image


def main() -> None:
    """Build, load, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("target", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path)
    arguments = parser.parse_args()
    paddle.seed(0)
    network = getattr(models, arguments.network)()
    if arguments.pretrained:
        network.set_state_dict(paddle.load(str(arguments.pretrained)))
    network.eval()
    pixels = read_image(str(sorted(arguments.images.glob("val/*/*.jpg"))[0]))
    image = Preprocessing(224).apply(pixels)[None]
    with paddle.no_grad():
        logits = network(paddle.to_tensor(image)).numpy()
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    paddle.save(network.state_dict(), str(arguments.target.with_suffix(".pdparams")))
    np.savez(arguments.target, **arrays, **{"check/image": image, "check/logits": logits})


if __name__ == "__main__":
    main()
