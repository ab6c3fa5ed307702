"""Find learning rates with a range test: for the head, and for the backbone if the plan trains it.

Example:
    python tools/find_lr.py -c configs/cub200.yaml
    python tools/find_lr.py -c configs/cub200.yaml -o transfer.preset=finetune --out lr/ --json
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Test, plot and suggest."""
    config = app.read_config(args)
    from toolkit.commands.find_lr import find_lr

    return find_lr(config, args.out, args.steps)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("--out", type=app.Path, metavar="FOLDER", help="plot folder (default output_dir/name-find_lr)")
    parser.add_argument("--steps", type=int, metavar="N", help="maximum steps per test (default 100 head, 60 backbone)")
    parser.add_argument("run", nargs="?", metavar="RUN", help="use the config of this run")
    app.run(parser, main, others=app.check)
