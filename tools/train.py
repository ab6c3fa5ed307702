"""Fine-tune a network on your images, then export it.

Example:
    python tools/train.py -c configs/quickstart.yaml
    python tools/train.py -c configs/cub200.yaml -o transfer.preset=small_similar -o train.epochs=5
    python tools/train.py --resume runs/cub200
"""

from toolkit.commands import app, launch


def main(args: app.Arguments) -> app.Outcome:
    """Train and export."""
    config = app.read_config(args, resume=args.resume)
    from toolkit.commands import train

    return train.train(config, resume=app.resumed(args))


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument(
        "--resume", metavar="RUN", help="continue the run in this folder; auto: the newest of this config, if any"
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="the same as --resume RUN")
    app.run(parser, main, others=lambda args: launch.share(app.checked_config(args)))
