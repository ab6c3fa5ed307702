"""The candidates: presets, the usual recipe and the config's own plan, for each network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.config import PRESET_ALIASES, Config, SourceConfig, make_config, note_alias
from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean
from toolkit.engine.job import Job
from toolkit.engine.source import prepare_job, train_source
from toolkit.transfer import PRESETS, Plan, get_preset, resolve_plan
from toolkit.zoo import get_spec

USUAL_RECIPE = "usual_recipe"
ALWAYS = ("linear_probe", USUAL_RECIPE, "scratch")
"""Candidates in every bake-off: unchanged features, common practice, and no transfer."""
_USUAL_TRANSFER = {"preset": "all_stages", "backbone_lr": 1.0, "lr_decay": 1.0, "head_first": 0, "batch_norm": "train"}
"""Fine-tune everything at once with one rate, including BatchNorm statistics, as in the PyTorch tutorial (S.
Chilamkurthy, "Transfer Learning for Computer Vision": SGD with momentum 0.9; see ``usual_rate``) and many others."""
_OF_THE_PLAN = {"lr", "solver"}
"""Keys of ``train`` that only apply to the config's own preset."""
_NOT_FROM_SCRATCH = {"l2_sp"}
"""Keys of ``train`` that do not apply to random weights."""
_NOT_USUAL = {"l2_sp", "mixup", "cutmix", "label_smoothing"}
"""Keys of ``train`` that the usual recipe does not use."""


@dataclass(frozen=True)
class Candidate:
    """One way of training one network.

    Attributes:
        name: Preset, or ``usual_recipe``.
        network: Name in the zoo.
        pretrained: Value of ``model.pretrained``.
        transfer: The ``transfer`` section.
        train: The ``train`` section; ``check_candidates`` completes that of the usual recipe.
        main: The network is the config's own.
        plan: The preset's plan for this network, once ``check_candidates`` has resolved it.
        also: Other presets with the same plan for this network.
        always: The candidate is mandatory.
    """

    name: str
    network: str
    pretrained: bool | str
    transfer: Mapping[str, Any]
    train: Mapping[str, Any]
    main: bool = True
    plan: Plan | None = field(default=None, compare=False)
    also: tuple[str, ...] = ()
    always: bool = False

    @property
    def title(self) -> str:
        """Title in runs and tables, with the network unless it is the config's own."""
        return title_of(self.name, self.network, self.main)

    @property
    def turn(self) -> tuple[bool, bool, float]:
        """Sort key for runs: mandatory candidates first; within each group, pretrained, then the fastest first."""
        if self.plan is None:
            return not self.always, False, 0.0
        moving = [phase.epochs * (1 - phase.frozen / len(phase.multipliers)) for phase in self.plan.phases]
        return not self.always, not self.plan.pretrained, sum(moving)

    def config(self, base: Config, seed: int, folder: Path, folds: int | None = None) -> Config:
        """Return the config of one run.

        Args:
            base: The base config.
            seed: 0, 1, ...; added to ``seed`` and ``data.split_seed``, so that all candidates share the split.
            folder: Folder of the runs.
            folds: Number of folds of a cross-validation, of which ``seed`` is one; None: splits by seed.
        """
        values = base.model_dump()
        stem = self.title.replace(": ", "-").replace("/", "-")
        values.update(
            name=f"{stem}-seed{base.seed + seed}" if folds is None else f"{stem}-fold{seed + 1}",
            seed=base.seed + seed,
            output_dir=folder,
            model={**values["model"], "name": self.network, "pretrained": self.pretrained},
            transfer=dict(self.transfer),
            train=dict(self.train),
            log={**values["log"], "sample_images": 0},
            export={"enabled": False, "report": False},
        )
        if folds is None:
            values["data"]["split_seed"] = base.data.split_seed + seed
        else:
            values["data"]["fold"] = f"{seed + 1}/{folds}"
        return make_config(values)


def title_of(name: str, network: str, main: bool) -> str:
    """Return a candidate's title: its name, after the network unless that is the config's own."""
    return name if main else f"{network}: {name}"


def candidate_names() -> tuple[str, ...]:
    """Return the names of all candidates other than the config's own plan."""
    return (*(spec.name for spec in PRESETS if spec.name != "custom"), USUAL_RECIPE)


def make_candidates(
    config: Config, names: Sequence[str] | None, networks: Sequence[str] = (), *, extra: Sequence[str] = ALWAYS
) -> list[Candidate]:
    """Make the config's own plan, the named candidates and ``extra`` for each network, without duplicates.

    Args:
        config: The base config.
        names: Names from ``candidate_names``, or earlier names of presets. None: all.
        networks: Zoo names, alone or as ``name=FILE`` with weights; empty: the config's network.
        extra: Mandatory candidates.

    Raises:
        ToolkitError: A name is unknown, or a network has no weights.
    """
    own = _own_name(config)
    wanted = [_known_name(name) for name in (candidate_names() if names is None else names)]
    others = [name for name in dict.fromkeys((*map(_known_name, extra), *wanted)) if name != own]
    found = []
    for network, pretrained in named_networks(config, networks):
        main = network == config.model.name
        for name in (own, *others) if own else others:
            transfer, train = _sections(config, name, name == own)
            always = name == own or name in extra
            found.append(Candidate(name, network, pretrained, transfer, train, main, always=always))
    return found


def usual_rate(*, batch_norm: bool) -> float:
    """Return the learning rate of the usual recipe: 0.001 for 4 images per step, scaled to 0.01 for about 32.

    A network without BatchNorm layers would diverge at this rate and gets a tenth of it.
    """
    return 0.01 if batch_norm else 0.001


def check_candidates(config: Config, candidates: Sequence[Candidate]) -> tuple[list[Candidate], Job]:
    """Resolve every plan before any training; candidates with the same plan for a network are merged.

    The usual recipe gets a learning rate that suits the network and, unless the config sets the epochs, as many as the
    longest of the other candidates that fine-tune.

    Raises:
        ToolkitError: The data, the weights or a plan would fail later.
    """
    checked: list[Candidate] = []
    job: Job | None = None
    for network in dict.fromkeys(candidate.network for candidate in candidates):
        mine = [candidate for candidate in candidates if candidate.network == network]
        plain = replace(mine[0], transfer={"preset": "linear_probe"}, train={"device": config.train.device})
        built = prepare_job(plain.config(config, 0, config.output_dir))
        job = job or built
        found = {
            candidate.name: _resolved(candidate, config, built) for candidate in mine if candidate.name != USUAL_RECIPE
        }
        for usual in (candidate for candidate in mine if candidate.name == USUAL_RECIPE):
            plans = [candidate.plan for candidate in found.values() if candidate.plan]
            found[USUAL_RECIPE] = _resolved(_as_usual(usual, plans, built), config, built)
        checked += _merged([found[candidate.name] for candidate in mine])
    assert job is not None
    return checked, job


def _own_name(config: Config) -> str:
    preset = config.transfer.preset
    return "" if preset == "auto" else preset


def _known_name(name: str) -> str:
    """Return a candidate's name for a given one, which may be the earlier name of a preset."""
    if name in PRESET_ALIASES:
        note_alias(name)
        return PRESET_ALIASES[name]
    known = candidate_names()
    if name not in known:
        raise ConfigError(f"unknown preset {name!r}; known are {', '.join(known)}", hint=did_you_mean(name, known))
    return name


def named_networks(config: Config, networks: Sequence[str]) -> list[tuple[str, bool | str]]:
    """Return networks and their values of ``model.pretrained``; trains a source task if necessary.

    Args:
        config: The base config, whose weights are used for its own network.
        networks: Zoo names, alone or as ``name=FILE`` with weights; empty: the config's network.

    Raises:
        ToolkitError: A name is unknown, or a network has no weights.
    """
    own, wanted = config.model.pretrained, config.model.pretrained
    if isinstance(wanted, SourceConfig):
        own = str(train_source(config, wanted).best)
    found: dict[str, bool | str] = {}
    for text in networks or (config.model.name,):
        name, equals, weights = text.partition("=")
        spec = get_spec(name.strip())
        foreign = spec.name != config.model.name and not isinstance(own, bool)
        if foreign and not equals:
            raise ConfigError(
                f"--networks: no weights for {spec.name}: model.pretrained is for {config.model.name}",
                hint=f"name a file: --networks {spec.name}=FILE, or {spec.name}=true for Paddle's weights",
            )
        given = {"true": True, "false": False}.get(weights.strip(), weights.strip())
        assert not isinstance(own, SourceConfig)
        found[spec.name] = given if equals else own
    return list(found.items())


def _sections(config: Config, name: str, own: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sections ``transfer`` and ``train`` of a candidate."""
    if own:
        return config.transfer.model_dump(exclude={"compare", "compare_seeds"}), config.train.model_dump()
    without = {USUAL_RECIPE: _NOT_USUAL, "scratch": _NOT_FROM_SCRATCH}.get(name, set())
    train = config.train.model_dump(exclude=_OF_THE_PLAN | without)
    if name == USUAL_RECIPE:
        return dict(_USUAL_TRANSFER), {**train, "optimizer": "momentum"}
    return {"preset": name}, train


def _as_usual(usual: Candidate, plans: Iterable[Plan], job: Job) -> Candidate:
    """Set the rate and epochs of the usual recipe, given the other plans for the same network."""
    spec = get_preset("all_stages")
    lengths = [plan.epochs for plan in plans if plan.pretrained and plan.frozen < len(plan.phases[0].multipliers)]
    epochs = usual.train["epochs"] or max(lengths, default=spec.head_first + spec.epochs)
    lr = usual_rate(batch_norm=any(stage.batch_norm for stage in job.stages))
    return replace(usual, train={**usual.train, "epochs": epochs, "lr": lr})


def _resolved(candidate: Candidate, config: Config, job: Job) -> Candidate:
    made = candidate.config(config, 0, config.output_dir)
    random = made.model.pretrained is False
    read = made.model.head.stages
    plan = resolve_plan(made.transfer, made.train, job.stages, made.task, pretrained=not random, head_stages=read)
    return replace(candidate, plan=plan if made.data.augment == "auto" else plan.with_augment(made.data.augment))


def _merged(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Merge the candidates of one network that have the same plan, keeping the name of the first."""
    found: list[Candidate] = []
    for candidate in candidates:
        assert candidate.plan is not None
        plan = replace(candidate.plan, preset="", notes=())
        for index, other in enumerate(found):
            assert other.plan is not None
            if plan == replace(other.plan, preset="", notes=()) and candidate.train == other.train:
                always = other.always or candidate.always
                found[index] = replace(other, also=(*other.also, candidate.name), always=always)
                break
        else:
            found.append(candidate)
    return found
