"""List the networks of the zoo, or show one of them stage by stage.

Example:
    python tools/models.py --filter mobilenet --pretrained
    python tools/models.py resnet50 --image-size 160 --cut layer3
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """List networks, or show one."""
    from toolkit.commands.models import models

    options = {"image_size": args.image_size, "cut": args.cut, "in_channels": args.in_channels}
    return models(args.network, text=args.filter, pretrained=args.pretrained, **options)


if __name__ == "__main__":
    parser = app.make_parser(__doc__)
    parser.add_argument("network", nargs="?", metavar="NAME", help="the network to show; without it, list all")
    parser.add_argument("--filter", default="", metavar="TEXT", help="list names that contain TEXT or match a pattern")
    parser.add_argument("--pretrained", action="store_true", help="list networks with downloadable weights")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the image, instead of the network's")
    parser.add_argument("--cut", metavar="STAGE", help="leave out the stages above this one: a name or a number")
    parser.add_argument("--in-channels", type=int, metavar="N", help="channels of the image, instead of the network's")
    app.run(parser, main, others=app.check)
