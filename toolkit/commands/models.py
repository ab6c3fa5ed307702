"""The command ``models``: list the zoo, or show one network stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.commands.app import Outcome
from toolkit.core.console import command
from toolkit.core.errors import ConfigError
from toolkit.zoo import (
    find_networks,
    networks_legend,
    networks_table,
    profile_legend,
    profile_network,
    profile_table,
)


def models(
    network: str | None = None,
    *,
    text: str = "",
    pretrained: bool = False,
    image_size: int | None = None,
    cut: str | None = None,
    in_channels: int | None = None,
) -> Outcome:
    """List the zoo, or show one network.

    Args:
        network: Name of the network to show; None lists all.
        text: For the list: part of the name, or a pattern.
        pretrained: For the list: only networks with downloadable weights.
        image_size: For one network: side of the image, pixels.
        cut: For one network: leave out the stages above this one, a name or a number.
        in_channels: For one network: channels of the image.

    Raises:
        ConfigError: The arguments contradict each other.
        NetworkError: The network or stage does not exist, or the network does not accept the input.
    """
    if network is None:
        options: dict[str, object] = {"--image-size": image_size, "--cut": cut, "--in-channels": in_channels}
        _refuse(options, "for one network, whose name is missing", command("models", "resnet50", "--image-size", "160"))
        found = find_networks(text, pretrained=pretrained)
        return Outcome(
            [spec.to_json() for spec in found],
            [networks_table(found), *networks_legend(), *_examples([each.name for each in found])],
        )
    options = {"--filter": text or None, "--pretrained": pretrained or None}
    _refuse(options, f"for the list, not for one network ({network})", command("models", "--filter", "resnet"))
    stage = int(cut) if cut is not None and cut.isdecimal() else cut
    profile = profile_network(network, image_size, cut=stage, in_channels=in_channels)
    example = f"try: {command('train', 'FOLDER', f'model.name={network}')}"
    return Outcome(profile.to_json(), [profile_table(profile), *profile_legend(profile), example])


def _examples(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    name = names[0]
    return [f"try: {command('models', name)}", f"or:  {command('train', 'FOLDER', f'model.name={name}')}"]


def _refuse(options: Mapping[str, object], why: str, example: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} {why}", hint=f"try: {example}")
