"""Evaluate a trained run on its test images (or on its validation images, if it has no test images), or on new ones.

Example:
    python tools/eval.py runs/cub200
    python tools/eval.py runs/cub200 --data new_photos --tta 10
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Evaluate the best epoch."""
    from toolkit.commands import runs

    return runs.evaluate(runs.find_run(args.run, args.config, args.overrides), args.data, args.tta)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("run", nargs="?", type=app.Path, metavar="RUN", help="the run's folder (or -c RUN/config.yaml)")
    parser.add_argument("--data", type=app.Path, metavar="PATH", help="all labelled images of a folder, list or table")
    parser.add_argument("--tta", type=int, metavar="N", help="average over N views of each image (train.tta)")
    app.run(parser, main)
