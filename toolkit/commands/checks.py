"""What can be said about arguments before Paddle is imported, which takes seconds."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.commands.arguments import read_config, run_folder
from toolkit.commands.shift import severities_of
from toolkit.core.console import command
from toolkit.core.durations import seconds_of
from toolkit.core.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.config import Config


def checked_config(args: argparse.Namespace) -> Config:
    """Load the configuration and check it before Paddle is imported.

    Raises:
        ConfigError: See ``read_config`` and ``check_early``.
    """
    from toolkit.config.early import check_early

    config = read_config(args, resume=getattr(args, "resume", None))
    check_early(config)
    return config


def check(args: argparse.Namespace) -> None:
    """Check the config, the networks and the severities in the arguments, if any; for ``others`` of ``run``.

    Raises:
        ConfigError: See ``checked_config`` and ``severities_of``; or a network does not exist.
    """
    from toolkit.config.early import check_network_name

    if hasattr(args, "severities"):
        check_shift(args)
    if any(getattr(args, name, None) for name in ("config", "run")):
        checked_config(args)
    named = [getattr(args, "network", None), *(getattr(args, "networks", None) or "").split(",")]
    for name in (text.partition("=")[0].strip() for text in named if text):
        if name:
            check_network_name(name)


def check_predict(args: argparse.Namespace) -> None:
    """Check the arguments of ``predict``.

    Raises:
        ConfigError: A value is invalid, or no model or image was given.
        DataError: An image does not exist.
    """
    if args.topk < 1:
        raise ConfigError(f"--topk is {args.topk}; expected 1 or more")
    if not args.timeout > 0:
        raise ConfigError(f"--timeout is {args.timeout:g}; expected more than 0 seconds")
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", args.device):
        raise ConfigError(f"--device is {args.device}; expected auto, cpu, gpu or gpu:k")
    check(args)
    images, _ = split_images(args.images, args.model, args.network)
    missing = [name for name in images if not Path(name).expanduser().exists()]
    if missing:
        from toolkit.deploy.inputs import expand_images  # imports OpenCV

        expand_images(missing)  # they may be patterns


def split_images(images: Sequence[str], model: str | None, network: str | None) -> tuple[Sequence[str], str | None]:
    """Return the images and the folder of the model, which is the first argument unless an option names it.

    Raises:
        ConfigError: No model or network, or no image was given.
    """
    if model is not None or network is not None:
        return images, model
    first = run_folder(images[0])
    if not any((first / name).is_file() for name in ("config.yaml", "inference.yml")):
        raise ConfigError(
            f"no model was given, and {images[0]} is neither a run nor an exported model",
            hint=f"give a run first: {command('predict', 'RUN', 'IMAGE')}; or --model FOLDER, or --network NAME",
        )
    if len(images) == 1:
        raise ConfigError(f"no image was given, only {first}", hint=f"try: {command('predict', first, 'IMAGE')}")
    return images[1:], str(first)


def check_shift(args: argparse.Namespace) -> None:
    """Check the options of an evaluation under shift.

    Raises:
        ConfigError: See ``severities_of``.
    """
    severities_of(args)


def check_advise(args: argparse.Namespace) -> None:
    """Check the arguments of ``advise``.

    Raises:
        ConfigError: See ``check`` and ``check_advice``.
    """
    check_advice(
        bool(args.config or args.run), args.images, args.network, args.sample, args.out, args.race, args.networks
    )
    check(args)


def check_advice(
    has_config: bool,
    images: Sequence[str],
    network: str | None,
    sample: int | None,
    output: Path | None,
    race: str | None = None,
    networks: str | None = None,
) -> None:
    """Check what advice is asked for.

    Raises:
        ConfigError: The images or the network are not named, or the options contradict each other.
    """
    from toolkit.config.early import check_several_networks

    if not has_config and not images:
        raise ConfigError("nothing to advise on", hint="give a config with -c, or --images FOLDER --network NAME")
    if images and not has_config and network is None:
        raise ConfigError("--images needs a network", hint="give one, for example --network mobilenet_v2")
    if network is not None and not images:
        raise ConfigError("--network requires --images", hint="with a config, use -o model.name=NAME")
    if images and output:
        raise ConfigError("--out writes a config, but images without labels have none", hint="leave out --out")
    if sample is not None and sample < 1:
        raise ConfigError(f"--sample is {sample}; expected 1 or more")
    if race is not None and images:
        raise ConfigError("--try trains presets, and images without labels have none", hint="leave out --images")
    if networks is not None and images:
        raise ConfigError("--networks compares what labels show, and --images have none", hint="leave out --images")
    if networks is not None:
        check_several_networks([word for word in networks.split(",") if word.strip()])
    if race not in (None, "auto"):
        seconds_of(race, "--try")
