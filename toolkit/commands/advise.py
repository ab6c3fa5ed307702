"""The command ``advise``: measure images, recommend a preset, and write a config or a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from toolkit.advise import Advice, NetworksAdvice, advice_text, advise, advise_images, advise_networks
from toolkit.advise.request import weights_of
from toolkit.advise.words import idea_of
from toolkit.commands.app import Outcome
from toolkit.commands.checks import check_advice
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
    race: str | None = None,
    networks: str | None = None,
    *,
    words: Sequence[str] = (),
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
        race: Time for a race of the best presets or networks, such as ``5m``; ``auto``: about as long as one training.
        networks: Networks to choose from, comma-separated, each alone or as ``name=FILE``.
        words: Arguments that name the job, for the command to train as advised.

    Raises:
        ConfigError: The images or the network are not specified.
        ToolkitError: The images, the network or the weights cannot be used.
    """
    check_advice(config is not None, images, network, sample, output, race, networks)
    options: dict[str, Any] = {"sample": sample} if sample else {}
    found: NetworksAdvice | None = None
    if images:
        advice = _of_images(config, images, network, weights, options)
    else:
        assert config is not None
        options["race"] = race or "none"
        if networks is not None:
            found = advise_networks(config, [word.strip() for word in networks.split(",") if word.strip()], **options)
        advice = found.advice if found else advise(config, **options)
    payload, text = advice.to_json(), advice_text(advice)
    if found:
        payload, text = found.to_json(), [*found.text(), *text]
        words = [*words, *_model_words(advice)]
    if output:
        payload["config"] = str(_write_config(advice, output, found.why if found else ()))
        text.append(f"recommended config: {output}")
    if page:
        from toolkit.advise.page import write_page  # matplotlib takes time to import

        payload["page"] = str(write_page(advice, page))
        text.append(f"page: {page}")
    text += _next(advice, output, words, labelled=not images)
    return Outcome(payload, text)


def _model_words(advice: Advice) -> list[str]:
    """Return the arguments that select the recommended network and its weights."""
    if advice.config is None:
        return []
    model = advice.config.model
    weights = [] if model.pretrained is True else [f"model.pretrained={model.pretrained}"]
    return [f"model.name={model.name}", *weights]


def _next(advice: Advice, output: Path | None, words: Sequence[str], labelled: bool) -> list[str]:
    if output:
        return [f"train it: {command('train', '-c', output)}"]
    if labelled:
        known = advice.config is not None  # else the notes say what is in the way
        return [f"train as advised: {command('train', *words, 'transfer.preset=auto')}"] if known else []
    network = f"model.name={advice.measured.network}"
    return [f"to train, sort images into one folder per class: {command('train', 'FOLDER', network)}"]


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


def _write_config(advice: Advice, path: Path, first: Sequence[str] = ()) -> Path:
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
        *first,
        *advice.why,
    )
    lines = [line for text in words for line in wrap(text, 118, subsequent_indent="  ", break_on_hyphens=False)]
    with clear_os_errors(str(path), place="--out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(f"# {line}\n" for line in lines) + dump_changes(advice.config))
    return path
