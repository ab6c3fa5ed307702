"""Keras 3 on TensorFlow: decoded images cached by ``Dataset.cache``, a parallel ``map``, ``prefetch``.

MobileNetV2 is built here, layer by layer as in ``keras.applications``, but with the padding and epsilon of
PyTorch and Paddle, so that the same weights give the same logits.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import common
import keras
import numpy as np
import tensorflow as tf
from keras import layers

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, stride: Sandler et al., arXiv:1801.04381, table 2."""


class Builder:
    """Layers with given weights, named as in Paddle.

    Args:
        arrays: Weights under Paddle's names.
    """

    def __init__(self, arrays: common.Arrays) -> None:
        self._arrays = arrays
        self._weights: list[tuple[Any, list[Any]]] = []

    def conv(self, x: Any, name: str, norm: str, stride: int = 1, active: bool = True) -> Any:
        """Convolution (depthwise if the weights are), BatchNorm, ReLU6."""
        kernel = self._arrays[f"{name}.weight"]
        depthwise, side = kernel.shape[1] == 1, kernel.shape[2]
        if side > 1:
            x = layers.ZeroPadding2D(side // 2)(x)
        if depthwise:
            layer = layers.DepthwiseConv2D(side, stride, use_bias=False)
        else:
            layer = layers.Conv2D(kernel.shape[0], side, stride, use_bias=False)
        x = layer(x)
        self._weights.append((layer, [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]))
        batch_norm = layers.BatchNormalization(epsilon=1e-5, momentum=0.9)
        x = batch_norm(x)
        self._weights.append(
            (batch_norm, [self._arrays[f"{norm}.{key}"] for key in ("weight", "bias", "_mean", "_variance")])
        )
        return layers.ReLU(6.0)(x) if active else x

    def load(self) -> None:
        """Load the weights into the layers."""
        for layer, values in self._weights:
            layer.set_weights(values)


def build(network: str, arrays: common.Arrays) -> keras.Model:
    """A model from images ``[N, 224, 224, 3]`` to pooled features ``[N, 1280]``."""
    if network != "mobilenet_v2":
        raise NotImplementedError(f"{network} is not built here")
    make = Builder(arrays)
    inputs = keras.Input((common.SIZE, common.SIZE, 3))
    x, number = make.conv(inputs, "features.0.0", "features.0.1", 2), 1
    for expansion, channels, blocks, stride in STAGES:
        for block in range(blocks):
            above, name = x, f"features.{number}.conv"
            if expansion > 1:
                x = make.conv(x, f"{name}.0.0", f"{name}.0.1")
            at = int(expansion > 1)
            x = make.conv(x, f"{name}.{at}.0", f"{name}.{at}.1", stride if block == 0 else 1)
            x = make.conv(x, f"{name}.{at + 1}", f"{name}.{at + 2}", active=False)
            x = layers.Add()([above, x]) if above.shape[-1] == channels and (block or stride == 1) else x
            number += 1
    x = make.conv(x, f"features.{number}.0", f"features.{number}.1")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    make.load()
    return model


def check(network: str, arrays: common.Arrays, image: Any) -> Any:
    """Logits of one image."""
    features = np.asarray(build(network, arrays)(image.transpose(0, 2, 3, 1), training=False))
    return features @ arrays["classifier.1.weight"] + arrays["classifier.1.bias"]


def decode(path: Any, label: Any) -> Any:
    """The decoded image, at its original size."""
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3), label


def centre(image: Any, label: Any) -> Any:
    """Resize and centre crop, uint8."""
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    resized = tf.image.resize(square, (common.RESIZED, common.RESIZED), antialias=True)
    return tf.saturate_cast(tf.round(tf.image.central_crop(resized, common.SIZE / common.RESIZED)), tf.uint8), label


def change(image: Any, label: Any) -> Any:
    """Random crop, mirroring, brightness, contrast and saturation, uint8."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(image), tf.zeros((1, 0, 4)), area_range=common.AREA, use_image_if_no_bounding_boxes=True
    )
    image = tf.image.resize(tf.slice(image, begin, size), (common.SIZE, common.SIZE), antialias=True)
    image = tf.image.random_flip_left_right(image) / 255.0
    light = common.LIGHT
    image = image * tf.random.uniform((), 1 - light, 1 + light)
    image = tf.image.random_contrast(image, 1 - light, 1 + light)
    image = tf.image.random_saturation(tf.clip_by_value(image, 0.0, 1.0), 1 - light, 1 + light)
    return tf.saturate_cast(tf.round(image * 255.0), tf.uint8), label


def normalise(image: Any, label: Any) -> Any:
    """The network's input."""
    return (tf.cast(image, tf.float32) / 255.0 - common.MEAN) / common.STD, label


def batches(args: argparse.Namespace, split: str) -> tuple[Any, int]:
    """Batches of one split, and the number of classes."""
    training, auto = split == "train", tf.data.AUTOTUNE
    classes = sorted(folder.name for folder in (args.images / split).iterdir())
    files = [(str(path), classes.index(path.parent.name)) for path in sorted((args.images / split).glob("*/*.jpg"))]
    found = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*files, strict=True)))).map(decode, auto)
    found = found.cache() if training and args.augment else found.map(centre, auto).cache()
    found = found.shuffle(len(files), seed=0) if training else found
    found = found.map(change, auto) if training and args.augment else found
    return found.map(normalise, auto).batch(args.batch).prefetch(auto), len(classes)


def train(args: argparse.Namespace, arrays: common.Arrays) -> float:
    """Train, and evaluate after every epoch."""
    keras.utils.set_random_seed(0)
    (images, classes), (val, _) = batches(args, "train"), batches(args, "val")
    frozen = args.freeze == "all"
    backbone = build(args.network, arrays)
    backbone.trainable = not frozen
    inputs = keras.Input((common.SIZE, common.SIZE, 3))
    features = backbone(inputs, training=False) if frozen else backbone(inputs)
    model = keras.Model(inputs, layers.Dense(classes)(features))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(args.lr, momentum=0.9), loss, metrics=["accuracy"])
    history = model.fit(images, validation_data=val, epochs=args.epochs, verbose=0)
    return float(history.history["val_accuracy"][-1])


if __name__ == "__main__":
    common.run(check, train)
