"""Paddle's own ``Model.fit``, as installed: no thread, MKL or allocator settings."""

from __future__ import annotations

import argparse
from typing import Any

import common
import paddle
from paddle import nn
from paddle.static import InputSpec
from paddle.vision import models, transforms
from paddle.vision.datasets import DatasetFolder

HEADS = {"mobilenet_v2": "classifier", "resnet18": "fc"}


class OnFrozen(nn.Layer):
    """A head on a network that stays in eval mode without gradients, as a careful user would write it."""

    def __init__(self, backbone: nn.Layer, head: nn.Layer) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        for parameter in backbone.parameters():
            parameter.stop_gradient = True

    def train(self) -> None:
        """Change the mode of the head only."""
        super().train()
        self.backbone.eval()

    def forward(self, images: Any) -> Any:
        """Logits."""
        with paddle.no_grad():
            features = self.backbone(images)
        return self.head(features)


class Accuracy(paddle.callbacks.Callback):
    """Keeps the accuracy of the last evaluation."""

    last = 0.0

    def on_eval_end(self, logs: Any = None) -> None:
        """Store the accuracy."""
        self.last = float(logs["acc"])


def build(network: str, arrays: common.Arrays) -> nn.Layer:
    """The network with the given weights."""
    model = getattr(models, network)()
    missing, unexpected = model.set_state_dict({name: paddle.to_tensor(array) for name, array in arrays.items()})
    if missing or unexpected:
        raise RuntimeError(f"weights do not fit: {missing} {unexpected}")
    return model


def check(network: str, arrays: common.Arrays, image: Any) -> Any:
    """Logits of one image."""
    model = build(network, arrays)
    model.eval()
    with paddle.no_grad():
        return model(paddle.to_tensor(image)).numpy()


def read(path: str) -> Any:
    """RGB pixels."""
    import cv2

    return cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)


def image_sets(args: argparse.Namespace) -> tuple[Any, Any]:
    """Training and validation images."""
    ending = [
        transforms.Transpose(),
        transforms.Normalize([255 * m for m in common.MEAN], [255 * s for s in common.STD]),
    ]
    centre = transforms.Compose([transforms.Resize(common.RESIZED), transforms.CenterCrop(common.SIZE), *ending])
    light = common.LIGHT
    random = transforms.Compose(
        [
            transforms.RandomResizedCrop(common.SIZE, common.AREA),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(light, light, light),
            *ending,
        ]
    )
    train = DatasetFolder(str(args.images / "train"), loader=read, transform=random if args.augment else centre)
    return train, DatasetFolder(str(args.images / "val"), loader=read, transform=centre)


def train(args: argparse.Namespace, arrays: common.Arrays) -> float:
    """Train, and evaluate after every epoch."""
    paddle.seed(0)
    images, val = image_sets(args)
    backbone = build(args.network, arrays)
    replaced = getattr(backbone, HEADS[args.network])
    width = [layer for layer in replaced.sublayers(include_self=True) if isinstance(layer, nn.Linear)][-1].weight.shape[
        0
    ]
    setattr(backbone, HEADS[args.network], nn.Identity())
    head = nn.Linear(width, len(images.classes))
    top = nn.Flatten() if args.network == "resnet18" else nn.Identity()
    network = OnFrozen(backbone, head) if args.freeze == "all" else nn.Sequential(backbone, top, head)
    size = common.SIZE
    model = paddle.Model(
        network, [InputSpec([None, 3, size, size], "float32", "image")], [InputSpec([None, 1], "int64", "label")]
    )
    moving = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    model.prepare(paddle.optimizer.Momentum(args.lr, 0.9, moving), nn.CrossEntropyLoss(), paddle.metric.Accuracy())
    accuracy = Accuracy()
    model.fit(images, val, args.batch, args.epochs, verbose=0, num_workers=args.workers, callbacks=[accuracy])
    return accuracy.last


if __name__ == "__main__":
    common.run(check, train)
