"""Fill a feature cache with synthetic features and train a head on them for one epoch, to measure peak memory.

python benchmarks/ours/rows.py ROWS --dir FOLDER
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import toolkit  # noqa: F401 - sets Paddle's environment

# isort: split
import numpy as np
import paddle

from toolkit.cache import FeatureStore
from toolkit.data import BatchLoader, FileImages, Preprocessing
from toolkit.engine.features.loaders import FeatureLoader

WIDTH, CLASSES, BLOCK = 1280, 5, 500


def main() -> None:
    """Fill, train, print the accuracy of the last half as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("--dir", type=Path, required=True)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, args.rows)
    centres = random.standard_normal((CLASSES, WIDTH), dtype=np.float32)
    entry = FeatureStore(args.dir).entry({"rows": args.rows})
    with entry.writing(args.rows, (WIDTH,), "float32") as writer:
        for start in range(0, args.rows, BLOCK):
            some = labels[start : start + BLOCK]
            writer.append(centres[some] + 3 * random.standard_normal((len(some), WIDTH), dtype=np.float32))
    images = FileImages([f"{number}.jpg" for number in range(args.rows)], labels)
    loader = BatchLoader(images, Preprocessing(224), batch_size=32, shuffle=True, workers=0)
    print(json.dumps({"accuracy": train(FeatureLoader([entry.open()], loader, 1))}))


def train(batches: FeatureLoader) -> float:
    """Train a linear head for one epoch; return its accuracy on the second half, measured before each update."""
    head = paddle.nn.Linear(WIDTH, CLASSES)
    optimizer = paddle.optimizer.Momentum(1e-3, 0.9, parameters=head.parameters())
    right, seen = 0, 0
    for step, batch in enumerate(batches):
        logits = head(paddle.to_tensor(batch.inputs))
        paddle.nn.functional.cross_entropy(logits, paddle.to_tensor(batch.labels)).backward()
        optimizer.step()
        optimizer.clear_grad()
        if step >= len(batches) // 2:
            right += int((logits.numpy().argmax(1) == batch.labels).sum())
            seen += len(batch.labels)
    return right / seen


if __name__ == "__main__":
    main()
