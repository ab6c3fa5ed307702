"""Export a trained run for inference: model, weights, labels and preprocessing in one folder.

Example:
    python tools/export.py -c runs/cub200/config.yaml --output my_classifier
"""

import argparse
from pathlib import Path

from toolkit import cli


def main(args: argparse.Namespace) -> cli.Outcome:
    """Export the best epoch, and check the export."""
    config = cli.read_config(args)
    from toolkit import jobs

    return jobs.export(config, args.config, args.output)


if __name__ == "__main__":
    parser = cli.make_parser(__doc__, config=True)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="by default inference/ in the run's folder")
    cli.run(parser, main)
