"""Measure your images, and recommend what to freeze: size, similarity, preset, learning rates, and why.

Example:
    python tools/advise.py -c configs/folder.yaml -o data.root=my_images --out recommended.yaml --html advice.html
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Give advice."""
    from toolkit.commands.advise import give_advice

    config = app.read_config(args) if args.config or args.run else None
    return give_advice(config, args.images, args.network, args.weights, args.sample, args.out, args.html)


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("--images", nargs="+", default=(), metavar="FOLDER", help="images without labels")
    parser.add_argument("--network", metavar="NAME", help="with --images: the network to start from")
    parser.add_argument("--weights", metavar="FILE", help="with --images: weights for --network, a file or URL")
    parser.add_argument("--sample", type=int, metavar="N", help="maximum number of images to measure (default 2000)")
    parser.add_argument("--out", type=app.Path, metavar="YAML", help="write the recommended configuration")
    parser.add_argument("--html", type=app.Path, metavar="FILE", help="write a page with figures")
    parser.add_argument("run", nargs="?", metavar="RUN", help="use the config of this run")
    app.run(parser, main, others=app.check)
