"""Which network: several networks measured on the same images, ranked, and the best two raced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rich.console import RenderableType

from toolkit.advise.advice import Advice
from toolkit.advise.advisor import entries_of, judge
from toolkit.advise.laps import Entry, race_presets, why_no_race
from toolkit.advise.measure import measure
from toolkit.advise.network_words import network_sentences, network_table
from toolkit.advise.race import RaceResult
from toolkit.advise.ranking import Ranking, rank
from toolkit.advise.request import AdviceRequest, request_of, weights_of
from toolkit.advise.sample import MOST_IMAGES
from toolkit.advise.thresholds import load_thresholds
from toolkit.bakeoff import named_networks
from toolkit.config import Config, with_overrides
from toolkit.config.early import check_several_networks
from toolkit.core.console import info
from toolkit.core.durations import seconds_of
from toolkit.core.errors import ConfigError, DataError
from toolkit.core.runtime import select_device
from toolkit.zoo import check_image_size, get_spec, resolve_weights

PROBE_SHARE = 0.3
"""How much of the difference between two networks' probes is left after training with the best preset: regression over
the calibration's 19 situations with both networks."""
NETWORK_ERROR = 0.04
"""Standard deviation of what is left of the difference after training, beside that share."""


@dataclass(frozen=True, repr=False)
class NetworksAdvice:
    """The advisor's result for several networks.

    Attributes:
        name: Name of the data set.
        ranking: The networks, ranked.
        advices: The advice with each network, by name.
        race: The race between the best two; None if there was none.
    """

    name: str
    ranking: Ranking
    advices: Mapping[str, Advice]
    race: RaceResult | None = None

    @property
    def network(self) -> str:
        """The recommended network: the race's winner, or else the ranking's first."""
        return self.ranking.first.network if self.race is None else self.race.winner.partition(": ")[0]

    @property
    def advice(self) -> Advice:
        """The advice with the recommended network."""
        return self.advices[self.network]

    @property
    def config(self) -> Config | None:
        """The recommended network and preset as a config ready for training; None if the images cannot be used."""
        return self.advice.config

    @property
    def why(self) -> tuple[str, ...]:
        """Which network is recommended, how sure that is, and what ImageNet top-1 alone would choose."""
        return network_sentences(self.ranking, self.race)

    def __repr__(self) -> str:
        return f"Advice for {self.name}: {self.network} of {len(self.ranking.rows)} networks; {self.advice!r}"

    def text(self) -> list[RenderableType]:
        """Return the table of networks and the sentences."""
        depth = self.advice.measured.depth
        return [network_table(self.ranking, self.network, depth.images if depth else 0), *self.why]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json``."""
        ranking = self.ranking
        return {
            "name": self.name,
            "network": self.network,
            "measured": ranking.first.network,
            "sure": round(ranking.sure, 4),
            "tied": [row.network for row in ranking.tied] if len(ranking.tied) > 1 else [],
            "imagenet": ranking.baseline and ranking.baseline.network,
            "networks": [row.to_json() for row in ranking.rows],
            "race": self.race and self.race.to_json(),
            "why": list(self.why),
            "advice": self.advice.to_json(),
        }


def advise_networks(
    config: Config, networks: Sequence[str], *, sample: int = MOST_IMAGES, table: bool = True, race: str = "none"
) -> NetworksAdvice:
    """Measure a config's training images with several networks, and recommend one of them and a preset.

    Args:
        config: The job; ``model.name`` and ``transfer.preset`` are ignored, but its other options are kept.
        networks: At least two names, alone (the config's weights, for its own network, or Paddle's) or as
            ``name=FILE``.
        sample: Maximum number of images to measure.
        table: Show how many images each class has.
        race: Also train the best two networks against each other, as ``transfer.race`` says.

    Returns:
        The advice; ``NetworksAdvice.config`` is the job with the recommended network and plan.

    Raises:
        ToolkitError: A network, its weights or the data cannot be used, or nothing can be compared.

    Example:
        >>> advice = advise_networks(load_config("cub200"), ["resnet18", "mobilenet_v2"])  # doctest: +SKIP
        >>> Trainer.from_config(advice.config).fit()  # doctest: +SKIP
    """
    jobs, device = network_jobs(config, networks), select_device(config.train.device)
    request: AdviceRequest | None = None
    advices: dict[str, Advice] = {}
    for name, job in jobs.items():
        request = request_of(job, table=table and request is None, like=request)
        measured = measure(
            request, sample=sample, seed=job.seed, cache=job.cache, device=device, workers=job.data.workers
        )
        advices[name] = judge(request, measured, load_thresholds(), job)
    assert request is not None
    presets = [advice.choices[0].preset for advice in advices.values()]
    found = [advice.measured for advice in advices.values()]
    ranking = rank(found, presets, request.preprocessing.image_size)
    if ranking is None:
        raise DataError(f"{request.name}: networks cannot be compared, because {found[0].missing['depth']}")
    result = NetworksAdvice(request.name, ranking, MappingProxyType(advices))
    if race == "none" or result.config is None or ranking.second is None:
        return result
    obstacle = why_no_race(config, len(request.images))
    if obstacle:
        info(f"no race of networks: {obstacle}")
        return result
    budget = None if race == "auto" else seconds_of(race, "--try")
    return replace(result, race=race_presets(_entries(result, jobs), config, request.images, budget, NETWORK_ERROR))


def network_jobs(config: Config, networks: Sequence[str]) -> dict[str, Config]:
    """Return the config with each of several networks, checked as far as possible before any is measured.

    Args:
        config: The job.
        networks: Names, alone or as ``name=FILE``.

    Raises:
        ConfigError: There are fewer than two networks, or one twice, or they expect different image sizes.
        ToolkitError: A network does not exist, or its weights do not.
    """
    check_several_networks(networks)
    jobs = {}
    for name, pretrained in named_networks(config, networks):
        job = with_overrides(config, model={"name": name, "pretrained": pretrained})
        resolve_weights(get_spec(name), weights_of(job))
        jobs[name] = job
    sizes = {name: config.data.image_size or get_spec(name).input_size for name in jobs}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ConfigError(
            f"--networks: the networks expect images of different sizes ({listed} pixels)",
            hint="set data.image_size, so that they can be compared on the same images",
        )
    for name, size in sizes.items():
        check_image_size(get_spec(name), size)
    return jobs


def _entries(advice: NetworksAdvice, jobs: Mapping[str, Config]) -> list[Entry]:
    """Return the best two networks, each with its own preset, ready to race."""
    costs, found = advice.ranking.costs(), []
    first, second = advice.ranking.first, advice.ranking.second
    assert second is not None
    for row in (first, second):
        entry = entries_of(advice.advices[row.network], jobs[row.network], most=1)[0]
        expected = PROBE_SHARE * (row.behind or 0.0)
        found.append(replace(entry, expected=expected, network=row.network, cost=costs[row.network]))
    return found
