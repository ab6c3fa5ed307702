"""Evaluate a trained run on its test images (or its validation images, when there are no test images).

Example:
    python tools/eval.py -c runs/cub200/config.yaml
"""

import argparse

from toolkit import cli


def main(args: argparse.Namespace) -> cli.Outcome:
    """Evaluate the best epoch."""
    config = cli.read_config(args)
    from toolkit import jobs

    return jobs.evaluate(config, args.config)


if __name__ == "__main__":
    cli.run(cli.make_parser(__doc__, config=True), main)
