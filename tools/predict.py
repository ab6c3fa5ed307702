"""Predict with an exported model, or recognise ImageNet objects with an unmodified pretrained network.

python tools/predict.py runs/cub200 photo.jpg photos/ 'more/*.png' --topk 3   (or: --network mobilenet_v2)
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Predict labels with confidence, best first."""
    from toolkit.commands import train

    return train.predict(**{name: value for name, value in vars(args).items() if name != "json"})


if __name__ == "__main__":
    parser = app.make_parser(__doc__, timeout=300)
    parser.add_argument("images", nargs="+", metavar="RUN|IMAGE|FOLDER|GLOB")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", metavar="FOLDER", help="an exported model, or a run's folder")
    source.add_argument("--network", metavar="NAME", help="a network of the zoo with its ImageNet classes")
    parser.add_argument("--weights", metavar="FILE|URL", help="weights for --network, instead of Paddle's")
    parser.add_argument("--topk", type=int, default=5, metavar="K", help="labels per image (default 5)")
    parser.add_argument("--threshold", type=float, metavar="P", help="multilabel: predict labels above this (0.5)")
    parser.add_argument("--tta", type=int, metavar="N", help="average over N views of each image (as exported, or 1)")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:k")
    parser.add_argument("--csv", dest="as_csv", action="store_true", help="print CSV")
    app.run(parser, main, others=app.check)
