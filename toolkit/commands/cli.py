"""The command ``paddle-finetune``: its subcommands, their arguments, and the function behind each.

The scripts in ``tools/`` run the same subcommands. Neither importing this module nor ``--help`` loads Paddle.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.commands import app
from toolkit.commands.arguments import read_config, resumed, run_folder
from toolkit.commands.checks import check, check_advise, check_predict, check_shift, checked_config
from toolkit.commands.shift import severities_of, shift_arguments
from toolkit.core.console import PROGRAM, command
from toolkit.core.names import did_you_mean

Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        words: What it does, in one line.
        work: Does it; imports what needs Paddle itself.
        arguments: Adds its own arguments to a parser.
        examples: Arguments of example calls, a line each.
        target: What its first argument names: ``config``, ``run`` (whose config may also be given by ``-c``), or None
            if it takes no configuration.
        timeout: Default of ``--timeout`` in seconds; None: it has no such option.
        paddle: Whether it needs Paddle.
        before: See ``others`` of ``app.run``; also takes the command line, for other processes.
    """

    words: str
    work: Callable[[app.Arguments], app.Outcome]
    arguments: Callable[[Parser], None] = lambda parser: None
    examples: tuple[str, ...] = ()
    target: str | None = None
    timeout: float | None = None
    paddle: bool = True
    before: Callable[[app.Arguments, list[str]], int | None] = lambda args, words: check(args)


def main(name: str | None = None, words: Sequence[str] | None = None) -> None:
    """Run a subcommand and exit with its code (see ``app.run``).

    Args:
        name: The subcommand; None: the first of ``words``.
        words: Arguments; None: those of this process.
    """
    given = list(sys.argv[1:] if words is None else words)
    if name is None:
        name = _named(given)
        given = given[1:]
    found = COMMANDS[name]
    parser = app.make_parser(_help(name, found), prog=command(name), target=found.target, timeout=found.timeout)
    found.arguments(parser)
    again = [sys.executable, "-m", "toolkit", name, *given]
    app.run(parser, found.work, given, paddle=found.paddle, others=lambda args: found.before(args, again))


def _named(words: Sequence[str]) -> str:
    """Return the subcommand, or print the list of subcommands and exit."""
    if words and words[0] in COMMANDS:
        return words[0]
    if words and words[0] == "--version":
        import toolkit

        print(f"{PROGRAM} {toolkit.__version__}")
        sys.exit(0)
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {found.words}" for name, found in COMMANDS.items()]
    usage = "\n".join(
        [f"usage: {PROGRAM} COMMAND ...", "", *lines, "", f"{PROGRAM} COMMAND --help lists its arguments."]
    )
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage)
        sys.exit(0 if words else 2)
    guess = did_you_mean(words[0], COMMANDS)
    print(f"error: no command {words[0]!r}{f'; {guess}' if guess else ''}\n\n{usage}", file=sys.stderr)
    sys.exit(2)


def _help(name: str, found: Command) -> str:
    lines = [f"{found.words[0].upper()}{found.words[1:]}."]
    if found.examples:
        lines += ["", "Examples:", *(f"    {command(name)} {words}" for words in found.examples)]
    return "\n".join(lines)


def _train(args: app.Arguments) -> app.Outcome:
    config = read_config(args, resume=args.resume)
    from toolkit.commands import train

    return train.train(config, resume=resumed(args))


def _share(args: app.Arguments, words: list[str]) -> int | None:
    from toolkit.commands import launch

    return launch.share(checked_config(args), words)


def _train_arguments(parser: Parser) -> None:
    words = "continue the run in this folder; auto: the newest of this config, if any"
    parser.add_argument("--resume", metavar="RUN", help=words)


def _advise(args: app.Arguments) -> app.Outcome:
    from toolkit.commands.advise import give_advice

    config = read_config(args) if args.config or args.run else None
    options = (args.images, args.network, args.weights, args.sample, args.out, args.html, args.race, args.networks)
    return give_advice(config, *options, words=args.words)


def _advise_arguments(parser: Parser) -> None:
    parser.add_argument("--images", nargs="+", default=(), metavar="FOLDER", help="images without labels")
    parser.add_argument("--network", metavar="NAME", help="with --images: the network to start from")
    parser.add_argument("--weights", metavar="FILE", help="with --images: weights for --network, a file or URL")
    parser.add_argument("--networks", metavar="X,Y", help="which of these networks; weights of your own as X=FILE")
    parser.add_argument("--sample", type=int, metavar="N", help="maximum number of images to measure (default 2000)")
    words = "also train the best presets (or the best two networks) against each other; auto"
    parser.add_argument("--try", dest="race", metavar="TIME", help=words)
    parser.add_argument("--out", type=Path, metavar="YAML", help="write the recommended configuration")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with figures")


def _compare(args: app.Arguments) -> app.Outcome:
    config = read_config(args)
    from toolkit.commands.compare import compare

    options = (args.presets, args.seeds, args.networks, args.budget, args.to_the_end, args.folds)
    return compare(config, *options, severities=severities_of(args))


def _compare_arguments(parser: Parser) -> None:
    parser.add_argument("--presets", metavar="A,B", help="presets such as last_stages,all_stages (default all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="number of seeds for each (default 3)")
    parser.add_argument("--folds", type=int, metavar="K", help="cross-validate on the training images instead of seeds")
    parser.add_argument("--networks", metavar="X,Y", help="networks, custom weights as X=FILE (default the config's)")
    parser.add_argument("--budget", metavar="TIME", help="total time such as 20m; runs that do not fit are left out")
    parser.add_argument("--to-the-end", action="store_true", help="do not stop runs that are far behind")
    shift_arguments(parser)


def _find_lr(args: app.Arguments) -> app.Outcome:
    config = read_config(args)
    from toolkit.commands.find_lr import find_lr

    return find_lr(config, args.out, args.steps, args.words)


def _find_lr_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="plot folder (default output_dir/name-find_lr)")
    parser.add_argument("--steps", type=int, metavar="N", help="maximum steps per test (default 100 head, 60 backbone)")


def _eval(args: app.Arguments) -> app.Outcome:
    from toolkit.commands import runs

    given = runs.find_run(args.run, args.config, args.overrides)
    return runs.evaluate(given, args.data, args.tta, severities_of(args))


def _eval_arguments(parser: Parser) -> None:
    parser.add_argument("--data", type=Path, metavar="PATH", help="all labelled images of a folder, list or table")
    parser.add_argument("--tta", type=int, metavar="N", help="average over N views of each image (train.tta)")
    shift_arguments(parser)


def _export(args: app.Arguments) -> app.Outcome:
    from toolkit.commands import runs

    return runs.export(runs.find_run(args.run, args.config, args.overrides), args.output)


def _export_arguments(parser: Parser) -> None:
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: inference/ in the run's folder")


def _report(args: app.Arguments) -> app.Outcome:
    from toolkit.commands import runs

    return runs.report(runs.find_run(args.run, args.config, args.overrides), severities_of(args))


def _predict(args: app.Arguments) -> app.Outcome:
    from toolkit.commands import train

    return train.predict(**{name: value for name, value in vars(args).items() if name != "json"})


def _predict_arguments(parser: Parser) -> None:
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


def _dashboard(args: app.Arguments) -> app.Outcome:
    from toolkit.deploy import serve

    serve(run_folder(args.folder), host=args.host, port=args.port)
    return app.Outcome({})


def _dashboard_arguments(parser: Parser) -> None:
    parser.add_argument("folder", nargs="?", default="runs", help="a run's folder, or a folder of runs (default runs)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 allows access from other machines")
    parser.add_argument("--port", type=int, default=8040)


def _models(args: app.Arguments) -> app.Outcome:
    from toolkit.commands.models import models

    options = {"image_size": args.image_size, "cut": args.cut, "in_channels": args.in_channels}
    return models(args.network, text=args.filter, pretrained=args.pretrained, **options)


def _models_arguments(parser: Parser) -> None:
    parser.add_argument("network", nargs="?", metavar="NAME", help="the network to show; without it, list all")
    parser.add_argument("--filter", default="", metavar="TEXT", help="list names that contain TEXT or match a pattern")
    parser.add_argument("--pretrained", action="store_true", help="list networks with downloadable weights")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the image, instead of the network's")
    parser.add_argument("--cut", metavar="STAGE", help="leave out the stages above this one: a name or a number")
    parser.add_argument("--in-channels", type=int, metavar="N", help="channels of the image, instead of the network's")


def _configs(args: app.Arguments) -> app.Outcome:
    from toolkit.commands.configs import configs

    return configs()


def _cache(args: app.Arguments) -> app.Outcome:
    from toolkit.commands import cache

    return cache.manage(args.action, args.dir, args.max_size, args.older_than, args.all, args.fix)


def _cache_arguments(parser: Parser) -> None:
    parser.add_argument("action", choices=("list", "prune", "verify"))
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="default: cache.dir of the configuration")
    parser.add_argument("--max-size", metavar="SIZE", help="prune: keep the most recently used up to this size (5GB)")
    parser.add_argument("--older-than", metavar="AGE", help="prune: remove features not used for this long (30d)")
    parser.add_argument("--all", action="store_true", help="prune: remove everything that no running process uses")
    parser.add_argument("--fix", action="store_true", help="verify: remove damaged features")


COMMANDS = {
    "train": Command(
        "fine-tune a network on your images, then export it",
        _train,
        _train_arguments,
        ("photos", "photos model.name=resnet18 train.epochs=5", "-c quickstart", "--resume runs/photos"),
        target="config",
        before=_share,
    ),
    "advise": Command(
        "measure your images, and recommend what to freeze, the learning rates, and why",
        _advise,
        _advise_arguments,
        ("photos --out recommended.yaml --html advice.html", "photos --networks resnet18,mobilenet_v2=my.pdparams"),
        target="config",
        before=lambda args, words: check_advise(args),
    ),
    "compare": Command(
        "compare presets and networks on the same splits, always beside a linear probe, the usual recipe and scratch",
        _compare,
        _compare_arguments,
        ("-c small_similar --presets last_stages,all_stages --seeds 3 --budget 20m",),
        target="config",
    ),
    "find_lr": Command(
        "find learning rates with a range test, for the head and for the backbone if the plan trains it",
        _find_lr,
        _find_lr_arguments,
        ("-c cub200", "photos transfer.preset=all_stages --out lr/ --json"),
        target="config",
    ),
    "eval": Command(
        "evaluate a run on its test images (validation images if it has none), or on new labelled ones",
        _eval,
        _eval_arguments,
        ("runs/photos", "runs/photos --data new_photos --tta 10", "runs/photos --shift"),
        target="run",
        before=lambda args, words: check_shift(args),
    ),
    "predict": Command(
        "label images with a run, an exported model, or an unmodified ImageNet network",
        _predict,
        _predict_arguments,
        ("runs/photos photo.jpg more/ 'others/*.png' --topk 3", "--network mobilenet_v2 photo.jpg"),
        timeout=300,
        before=lambda args, words: check_predict(args),
    ),
    "export": Command(
        "export a run for inference: model, weights, labels and preprocessing in one folder",
        _export,
        _export_arguments,
        ("runs/photos --output my_classifier",),
        target="run",
        before=lambda args, words: None,
    ),
    "report": Command(
        "write the report on the best epoch of a run, finished or stopped",
        _report,
        shift_arguments,
        ("runs/photos", "runs/photos --shift", "runs/photos data.root=/where/the/images/are/now"),
        target="run",
        before=lambda args, words: check_shift(args),
    ),
    "dashboard": Command(
        "show runs in VisualDL in the browser",
        _dashboard,
        _dashboard_arguments,
        ("runs/",),
        before=lambda args, words: None,
    ),
    "models": Command(
        "list the networks of the zoo, or show one of them stage by stage",
        _models,
        _models_arguments,
        ("--filter mobilenet --pretrained", "resnet50 --image-size 160 --cut layer3"),
    ),
    "configs": Command("list the configurations that come with the toolkit", _configs, paddle=False),
    "cache": Command(
        "list, prune or verify the cached outputs of frozen stages, which runs keep and share",
        _cache,
        _cache_arguments,
        ("list", "prune --max-size 5GB --older-than 30d", "verify --fix"),
        paddle=False,
        before=lambda args, words: None,
    ),
}
"""Every subcommand, in the order of the help."""
