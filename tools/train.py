"""Fine-tune a network on your images, then export it.

Example:
    python tools/train.py -c configs/quickstart.yaml
    python tools/train.py -c configs/cub200.yaml -o transfer.preset=small_similar -o train.epochs=5
    python tools/train.py --resume runs/cub200
"""

import argparse
from pathlib import Path

from toolkit import cli


def main(args: argparse.Namespace) -> cli.Outcome:
    """Train and export."""
    config = cli.read_config(args, default=args.resume and args.resume / "config.yaml")
    from toolkit import jobs

    return jobs.train(config, resume=args.resume)


if __name__ == "__main__":
    parser = cli.make_parser(__doc__, config=True)
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the interrupted run in this folder")
    cli.run(parser, main)
