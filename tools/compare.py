"""Compare presets and networks on the same splits of your images: which is best, and is it worth it?

A linear probe, the usual recipe (fine-tune everything at one rate) and training from scratch are always included.

Example:
    python tools/compare.py -c configs/small_similar.yaml --presets large_similar,finetune --seeds 3 --budget 20m
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Run the bake-off, or continue it after an interruption."""
    config = app.read_config(args)
    from toolkit.commands.compare import compare

    return compare(config, args.presets, args.seeds, args.networks, args.budget, args.to_the_end)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("--presets", metavar="A,B", help="presets such as small_different/finetune_most (default all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="number of seeds for each (default 3)")
    parser.add_argument("--networks", metavar="X,Y", help="networks, custom weights as X=FILE (default the config's)")
    parser.add_argument("--budget", metavar="TIME", help="total time such as 20m; runs that do not fit are left out")
    parser.add_argument("--to-the-end", action="store_true", help="do not stop runs that are far behind")
    parser.add_argument("run", nargs="?", metavar="RUN", help="use the config of this run")
    app.run(parser, main, others=app.check)
