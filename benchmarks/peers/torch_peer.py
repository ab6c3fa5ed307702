"""PyTorch and torchvision: channels_last, all cores, decoding in worker processes, the frozen part under no_grad."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import common
import numpy as np
import torch
from torch import nn

try:
    import torchvision
except RuntimeError:
    import torchvision_shim

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    torchvision_shim.declare()
    import torchvision
from torchvision import transforms
from torchvision.datasets import ImageFolder

HEADS = {"mobilenet_v2": "classifier", "resnet18": "fc"}
RENAMED = {"_mean": "running_mean", "_variance": "running_var"}


def build(network: str, arrays: common.Arrays) -> nn.Module:
    """The network with Paddle's weights: dense layers are transposed, statistics renamed."""
    state = {}
    for name, array in arrays.items():
        first, _, last = name.rpartition(".")
        dense = array.ndim == 2
        state[f"{first}.{RENAMED.get(last, last)}"] = torch.from_numpy(
            np.ascontiguousarray(array.T if dense else array)
        )
    model = getattr(torchvision.models, network)()
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or not all(name.endswith("num_batches_tracked") for name in missing):
        raise RuntimeError(f"weights do not fit: {missing} {unexpected}")
    return model.to(memory_format=torch.channels_last)


def check(network: str, arrays: common.Arrays, image: Any) -> Any:
    """Logits of one image."""
    with torch.inference_mode():
        return build(network, arrays).eval()(torch.from_numpy(image)).numpy()


def loaders(args: argparse.Namespace) -> tuple[Any, Any]:
    """Training and validation batches."""
    ending = [transforms.ToTensor(), transforms.Normalize(common.MEAN, common.STD)]
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
    train = ImageFolder(str(args.images / "train"), random if args.augment else centre)
    val = ImageFolder(str(args.images / "val"), centre)
    keep = args.workers > 0
    return tuple(
        torch.utils.data.DataLoader(each, args.batch, each is train, num_workers=args.workers, persistent_workers=keep)
        for each in (train, val)
    )


def train(args: argparse.Namespace, arrays: common.Arrays) -> float:
    """Train, and evaluate after every epoch."""
    torch.manual_seed(0)
    batches, val = loaders(args)
    backbone, frozen = build(args.network, arrays), args.freeze == "all"
    width = list(backbone.children())[-1]
    width = width[-1].in_features if isinstance(width, nn.Sequential) else width.in_features
    setattr(backbone, HEADS[args.network], nn.Identity())
    head = nn.Linear(width, len(batches.dataset.classes))
    parameters = [*head.parameters(), *([] if frozen else backbone.parameters())]
    optimizer = torch.optim.SGD(parameters, args.lr, momentum=0.9)
    for _ in range(args.epochs):
        backbone.train(not frozen)
        for images, labels in batches:
            with torch.set_grad_enabled(not frozen):
                features = backbone(images.to(memory_format=torch.channels_last))
            nn.functional.cross_entropy(head(features), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        accuracy = evaluate(nn.Sequential(backbone, head).eval(), val)
    return accuracy


def evaluate(network: nn.Module, batches: Any) -> float:
    """Accuracy over all images."""
    right = 0
    with torch.inference_mode():
        for images, labels in batches:
            right += int((network(images.to(memory_format=torch.channels_last)).argmax(1) == labels).sum())
    return right / len(batches.dataset)


if __name__ == "__main__":
    common.run(check, train)
