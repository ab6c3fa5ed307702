"""List the networks of the zoo, or show one of them stage by stage.

Example:
    python tools/models.py --filter mobilenet --pretrained
    python tools/models.py resnet50 --image-size 160 --cut layer3
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Read the zoo."""
    from toolkit.commands.models import models

    options = {"image_size": args.image_size, "cut": args.cut, "in_channels": args.in_channels}
    return models(args.network, text=args.filter, pretrained=args.pretrained, **options)


if __name__ == "__main__":
    parser = app.make_parser(__doc__)
    parser.add_argument("network", nargs="?", metavar="NAME", help="the network to show; without it all are listed")
    parser.add_argument("--filter", default="", metavar="TEXT", help="list names with TEXT in them, or a pattern")
    parser.add_argument("--pretrained", action="store_true", help="list networks that have weights to download")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the image, in place of its own")
    parser.add_argument("--cut", metavar="STAGE", help="leave out the stages above this one: a name or a number")
    parser.add_argument("--in-channels", type=int, metavar="N", help="channels of the image, in place of its own")
    app.run(parser, main, others=app.check)
