"""Compare ways of training on your images, on the same splits: which preset, which network, and is it worth it?

A linear probe, the usual recipe (fine-tune everything at one rate) and training from scratch always take part.

Example:
    python tools/compare.py -c configs/small_similar.yaml --presets large_similar,finetune --seeds 3 --budget 20m
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Run the bake-off; called again after an interruption it goes on."""
    config = app.read_config(args)
    from toolkit.commands.compare import compare

    return compare(config, args.presets, args.seeds, args.networks, args.budget, args.to_the_end)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("--presets", metavar="A,B", help="names of presets, as small_different/finetune_most; all")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="splits and trainings of each (default 3)")
    parser.add_argument("--networks", metavar="X,Y", help="beside weights of their own as X=FILE; the config's")
    parser.add_argument("--budget", metavar="TIME", help="total time, as 20m; what does not fit is left out")
    parser.add_argument("--to-the-end", action="store_true", help="do not stop runs that are far behind")
    parser.add_argument("run", nargs="?", metavar="RUN", help="take the config of this run")
    app.run(parser, main, others=app.check)
