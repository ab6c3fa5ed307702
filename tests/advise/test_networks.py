"""``advise --networks``: networks trained as source tasks of our own, on other digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit.advise.laps
from tests.advise.sources import OTHER, SMALL, digits_job, named, source_networks
from toolkit.advise import advise_networks, laps
from toolkit.advise.networks import _entries, network_jobs
from toolkit.advise.race import FOLDS, Lap
from toolkit.advise.request import request_of
from toolkit.config import Config
from toolkit.core.errors import ConfigError, DataError, NetworkError, ToolkitError, WeightsError
from toolkit.zoo.resolve import check_weights


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of two networks by name."""
    return source_networks(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def job(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Three digits; measurements are shared by all tests."""
    return digits_job(tmp_path, tmp_path_factory.getbasetemp() / "networks")


def test_networks_are_measured_on_the_same_images_and_ranked(job: Config, sources: dict[str, Path]) -> None:
    found = advise_networks(job, named(sources), table=False)
    assert {row.network for row in found.ranking.rows} == {SMALL, OTHER}
    depths = [advice.measured.depth for advice in found.advices.values()]
    assert all(depth is not None and depth.each is not None for depth in depths)
    assert len({depth.images for depth in depths if depth}) == 1
    for row in found.ranking.rows:
        assert row.probe is not None
        assert row.logme is not None
        assert row.knn is not None
        assert row.preset == found.advices[row.network].choices[0].preset
    trained = next(row for row in found.ranking.rows if row.network == SMALL)
    assert trained.imagenet is None  # its weights know five digits
    assert found.config is not None
    assert found.config.model.name == found.network == found.ranking.first.network
    assert found.config.model.pretrained == str(sources[found.network])
    assert found.config.data == job.data
    assert json.loads(json.dumps(found.to_json()))["network"] == found.network
    assert found.network in repr(found)


def test_a_second_time_nothing_is_measured(
    job: Config, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = advise_networks(job, named(sources), table=False)
    monkeypatch.setattr("toolkit.advise.measure._MeasurementRun.run", lambda *args: pytest.fail("measured again"))
    again = advise_networks(job, list(reversed(named(sources))), table=False)
    assert again.to_json() == first.to_json()


def scripted(monkeypatch: pytest.MonkeyPatch, right: dict[str, float]) -> list[Config]:
    """Replace the short trainings by outputs that are right for a share of 60 images; return their configs."""
    ran: list[Config] = []

    def lap(config: Config, digest: str) -> Lap:
        ran.append(config)
        labels = np.arange(60) % 3
        answers = np.where(np.arange(60) < 60 * right[config.model.name], labels, (labels + 1) % 3)
        return Lap(np.eye(3, dtype=np.float32)[answers] * 5, labels, 1.0)

    monkeypatch.setattr(laps, "_run_lap", lap)
    return ran


@pytest.mark.parametrize("winner", [SMALL, OTHER])
def test_the_best_two_race_each_with_its_own_preset(
    job: Config, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    monkeypatch.setattr(toolkit.advise.laps, "LEAST_IMAGES", 10)
    ran = scripted(monkeypatch, {SMALL: 0.5, OTHER: 0.5, winner: 0.95})
    found = advise_networks(job, named(sources), table=False, race="100s")
    assert found.race is not None
    assert found.network == winner
    assert found.config is not None
    assert found.config.model.name == winner
    assert found.config.transfer.preset == found.advices[winner].choices[0].preset
    assert {config.model.name for config in ran} == {SMALL, OTHER}
    for config in ran:
        assert config.transfer.preset == found.advices[config.model.name].choices[0].preset
        assert config.model.pretrained == str(sources[config.model.name])
        assert config.name.startswith(f"{config.model.name}-{config.transfer.preset}-fold")
        assert config.data.fold in {f"{fold + 1}/{FOLDS}" for fold in range(FOLDS)}
    assert f"{winner}: " in found.why[1]
    assert "is the best of these" in found.why[1]
    assert found.to_json()["race"]["winner"].startswith(winner)


def test_a_network_that_costs_more_is_expected_to_take_longer(
    job: Config, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = advise_networks(job, named(sources), table=False)
    assert found.ranking.second is not None
    entries = {entry.network: entry for entry in _entries(found, network_jobs(job, named(sources)))}
    costs = found.ranking.costs()
    assert {name: entry.cost for name, entry in entries.items()} == costs
    assert sorted(costs.values())[0] == 1.0 < sorted(costs.values())[1]
    for row in found.ranking.rows:
        assert entries[row.network].expected == pytest.approx(0.3 * row.behind)
        assert entries[row.network].runner.title == f"{row.network}: {row.preset}"


@pytest.mark.parametrize(
    ("networks", "kind", "words"),
    [
        ([SMALL], ConfigError, rf"at least two networks, but {SMALL} was given"),
        ([], ConfigError, "at least two networks, but none was given"),
        ([SMALL, f"{SMALL}=x.pdparams"], ConfigError, f"{SMALL} was given more than once"),
        (["resnet18", "resnet181"], NetworkError, "resnet181"),
        (["resnet18", "mobilenet_v1_x0_25"], WeightsError, f"Paddle has no weights for {SMALL}"),
        (["resnet18", f"{SMALL}=none.pdparams"], WeightsError, "none.pdparams does not exist"),
        (["resnet18", f"{SMALL}=false"], ConfigError, "model.pretrained is false"),
        (["resnet18", "lenet"], ToolkitError, "lenet"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(
    job: Config, monkeypatch: pytest.MonkeyPatch, networks: list[str], kind: type[Exception], words: str
) -> None:
    monkeypatch.setattr("toolkit.advise.networks.resolve_weights", no_download)
    monkeypatch.setattr("toolkit.advise.networks.request_of", lambda *args, **options: pytest.fail("read images"))
    with pytest.raises(kind, match=words) as caught:
        advise_networks(job, networks)
    assert "\n" not in str(caught.value)


def no_download(spec: Any, pretrained: bool | str) -> None:
    check_weights(spec, pretrained)


def test_networks_of_different_image_sizes(
    job: Config, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.advise.networks.resolve_weights", no_download)
    native = job.model_copy(update={"data": job.data.model_copy(update={"image_size": None})})
    with pytest.raises(ConfigError, match=r"resnet18 224, inception_v3 299 pixels") as caught:
        network_jobs(native, ["resnet18", "inception_v3"])
    assert "set data.image_size" in str(caught.value.hint)
    with pytest.raises(NetworkError, match=r"inception_v3 cannot take images of 32 pixels"):
        network_jobs(job, ["resnet18", "inception_v3"])


def test_weights_of_the_config_are_for_its_own_network(job: Config, sources: dict[str, Path]) -> None:
    own = job.model.model_copy(update={"name": SMALL, "pretrained": str(sources[SMALL])})
    with pytest.raises(ConfigError, match=rf"no weights for {OTHER}: model.pretrained is for {SMALL}"):
        network_jobs(job.model_copy(update={"model": own}), [SMALL, OTHER])


def test_nothing_to_compare(job: Config, sources: dict[str, Path]) -> None:
    one = job.model_copy(update={"data": job.data.model_copy(update={"classes": ("0",)})})
    with pytest.raises(DataError, match="networks cannot be compared, because"):
        advise_networks(one, named(sources), table=False)


def test_the_images_are_read_once(job: Config, sources: dict[str, Path]) -> None:
    jobs = network_jobs(job, named(sources))
    first = request_of(jobs[SMALL], table=False)
    second = request_of(jobs[OTHER], table=False, like=first)
    assert (second.network, second.pretrained) == (OTHER, str(sources[OTHER]))
    assert second.images is first.images
    assert second.preprocessing.image_size == 32
