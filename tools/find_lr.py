"""Find learning rates with a range test: of the head, and of the backbone where the plan moves it.

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
    parser.add_argument("--out", type=app.Path, metavar="FOLDER", help="where the plot goes (output_dir/name-find_lr)")
    parser.add_argument("--steps", type=int, metavar="N", help="most steps of each test (100 head, 60 backbone)")
    parser.add_argument("run", nargs="?", metavar="RUN", help="take the config of this run")
    app.run(parser, main, others=app.check)
