"""ImageNet's classes, and real weights on real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.zoo import create_network, imagenet_classes


def test_there_are_a_thousand_classes_in_the_order_of_the_wordnet_ids() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[1], names[7], names[281], names[999]) == (
        "tench",
        "goldfish",
        "cock",
        "tabby",
        "toilet tissue",
    )
    assert all(name and name == name.strip() and "_" not in name for name in names)


def read_image(path: Path) -> np.ndarray:
    """Short side to 256, the centre 224 x 224, normalised: float32 [3, 224, 224]."""
    import cv2

    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    scale = 256 / min(height, width)
    image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    image = image[top : top + 224, left : left + 224].astype("float32") / 255
    return ((image - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype("float32").transpose(2, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("mobilenet_v2", 0.75), ("squeezenet1_1", 0.5)])
def test_real_weights_recognise_real_images(
    assets: Path, weights: Callable[[str], Path], name: str, least: float
) -> None:
    files = sorted((assets / "datasets" / "imagenet_sample").glob("*.jpg"))
    chosen = range(3, 1000, 20)
    network = create_network(name, pretrained=weights(name))
    network.eval()
    hits = 0
    with paddle.no_grad():
        for start in range(0, len(chosen), 10):
            indices = chosen[start : start + 10]
            logits = network(paddle.to_tensor(np.stack([read_image(files[i]) for i in indices])))
            hits += int((logits.numpy().argmax(axis=1) == np.array(indices)).sum())
    assert hits / len(chosen) >= least
