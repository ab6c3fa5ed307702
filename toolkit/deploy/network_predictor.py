"""Recognise ImageNet's 1000 classes with a pretrained network as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import paddle

from toolkit.data import Preprocessing
from toolkit.deploy.classifier import ImageClassifier
from toolkit.runtime import select_device
from toolkit.zoo import create_network, imagenet_classes

__all__ = ["NetworkPredictor"]

_CROP_RATIO = 0.875  # short side to 256, centre 224: how ImageNet networks are evaluated


class NetworkPredictor(ImageClassifier):
    """A network of the zoo with its own classifier, in Paddle's dygraph mode.

    Args:
        name: The network, for instance ``mobilenet_v2``.
        weights: True (Paddle's own download), or a file or URL.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:k``.

    Attributes:
        classes: ImageNet's class names.
        preprocessing: The one that the network was trained with.

    Raises:
        NetworkError: The network is unknown.
        WeightsError: The weights cannot be found, read or fitted.
        DeviceError: The device is not there.
    """

    def __init__(self, name: str, weights: bool | str | Path = True, *, device: str = "auto") -> None:
        select_device(device)
        self._network = create_network(name, None, pretrained=weights)
        self._network.eval()
        spec = self._network.spec
        pipeline = {"image_size": spec.input_size, "crop_ratio": _CROP_RATIO, "mean": spec.mean, "std": spec.std}
        super().__init__(imagenet_classes(), Preprocessing.from_dict(pipeline))

    def probabilities(self, images: npt.NDArray[np.float32], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Probabilities of preprocessed images; see ``ImageClassifier.probabilities``."""
        self._check_images(images)
        with paddle.no_grad():
            parts = [
                paddle.nn.functional.softmax(self._network(paddle.to_tensor(images[start : start + batch_size])), -1)
                for start in range(0, len(images), batch_size)
            ]
            return np.asarray(paddle.concat(parts).numpy(), np.float32)
