"""The command ``advise``: measure images, recommend a preset, and write a config or a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from toolkit.advise import Advice, advice_text, advise, advise_images
from toolkit.advise.request import weights_of
from toolkit.advise.words import idea_of
from toolkit.commands.app import Outcome
from toolkit.config import CacheConfig, Config, dump_changes
from toolkit.core.console import command, info
from toolkit.core.errors import ConfigError
from toolkit.core.files import clear_os_errors, write_text
from toolkit.deploy import expand_images


def give_advice(
    config: Config | None,
    images: Sequence[str] = (),
    network: str | None = None,
    weights: str | None = None,
    sample: int | None = None,
    output: Path | None = None,
    page: Path | None = None,
) -> Outcome:
    """Advise on a config's data, or on images without labels.

    Args:
        config: The job; may be None with ``images``.
        images: Files, folders or patterns to use instead of the config's images, with the config's preprocessing.
        network: Network for ``images``; by default the config's.
        weights: Weights for ``network``, a file or URL; by default the config's, or else Paddle's.
        sample: Maximum number of images to measure.
        output: Path for the recommended config.
        page: Path for a page with figures.

    Raises:
        ConfigError: The images or the network are not specified.
        ToolkitError: The images, the network or the weights cannot be used.
    """
    _check(config, images, network, sample, output)
    options: dict[str, Any] = {"sample": sample} if sample else {}
    if images:
        advice = _of_images(config, images, network, weights, options)
    else:
        assert config is not None
        advice = advise(config, **options)
    payload, text = advice.to_json(), advice_text(advice)
    if output:
        payload["config"] = str(_write_config(advice, output))
        text.append(f"recommended config: {output}; train it with: {command('train', '-c', output)}")
    if page:
        from toolkit.advise.page import write_page  # matplotlib takes time to import

        payload["page"] = str(write_page(advice, page))
        text.append(f"page: {page}")
    return Outcome(payload, text)


def _check(
    config: Config | None, images: Sequence[str], network: str | None, sample: int | None, output: Path | None
) -> None:
    if config is None and not images:
        raise ConfigError("nothing to advise on", hint="give a config with -c, or --images FOLDER --network NAME")
    if images and config is None and network is None:
        raise ConfigError("--images needs a network", hint="give one, for example --network mobilenet_v2")
    if network is not None and not images:
        raise ConfigError("--network requires --images", hint="with a config, use -o model.name=NAME")
    if images and output:
        raise ConfigError("--out writes a config, but images without labels have none", hint="leave out --out")
    if sample is not None and sample < 1:
        raise ConfigError(f"--sample is {sample}; expected 1 or more")


def _of_images(
    config: Config | None, images: Sequence[str], network: str | None, weights: str | None, options: dict[str, Any]
) -> Advice:
    if config is None:
        return advise_images(expand_images(images), network or "", weights or True, cache=CacheConfig(), **options)
    model = config.model
    pretrained: bool | str | Path = weights or True
    if weights is None and network in (None, model.name):
        pretrained = weights_of(config)
    elif weights is None and model.pretrained is not True:
        info(f"model.pretrained is for {model.name}: {network} starts from Paddle's weights")
    return advise_images(
        expand_images(images),
        network or model.name,
        pretrained,
        device=config.train.device,
        cache=config.cache,
        data=config.data,
        in_channels=model.in_channels,
        **options,
    )


def _write_config(advice: Advice, path: Path) -> Path:
    if advice.config is None or advice.plan is None:
        raise ConfigError(f"no config can be recommended: {advice.notes[0] if advice.notes else 'nothing to train'}")
    position, plan = advice.position, advice.plan
    words = (
        f"Recommended for {advice.name} by paddle-finetune advise; all other options have their defaults.",
        f"network: {advice.measured.network}",
        f"data: {advice.measured.size.images:,} training images, {position.size} and {position.similarity} "
        f"({position.confidence:.0%} sure of both)",
        f"preset: {plan.preset} ({idea_of(plan.preset)})",
        f"epochs: {', '.join(f'{phase.name} {phase.epochs}' for phase in plan.phases)}",
        *advice.why,
    )
    lines = [line for text in words for line in wrap(text, 118, subsequent_indent="  ", break_on_hyphens=False)]
    with clear_os_errors(str(path), place="--out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(f"# {line}\n" for line in lines) + dump_changes(advice.config))
    return path
