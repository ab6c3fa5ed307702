"""Evaluate a trained run on its test images (or its validation images, when there are no test images).

Example:
    python tools/eval.py -c runs/cub200/config.yaml
    python tools/eval.py -c runs/cub200/config.yaml --tta 10
"""

import argparse

from toolkit import cli


def main(args: argparse.Namespace) -> cli.Outcome:
    """Evaluate the best epoch."""
    config = cli.read_config(args)
    from toolkit import jobs

    return jobs.evaluate(config, args.config, args.tta)


if __name__ == "__main__":
    parser = cli.make_parser(__doc__, config=True)
    parser.add_argument("--tta", type=int, metavar="N", help="average over N views of each image (train.tta)")
    cli.run(parser, main)
