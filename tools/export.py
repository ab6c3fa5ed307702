"""Export a trained run for inference: model, weights, labels and preprocessing in one folder.

Example:
    python tools/export.py runs/cub200 --output my_classifier
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Export the best epoch, and check the export."""
    from toolkit.commands import runs

    return runs.export(runs.find_run(args.run, args.config, args.overrides), args.output)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("run", nargs="?", type=app.Path, metavar="RUN", help="the run's folder (or -c RUN/config.yaml)")
    parser.add_argument("--output", type=app.Path, metavar="FOLDER", help="default: inference/ in the run's folder")
    app.run(parser, main)
