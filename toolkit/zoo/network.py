"""Every network as an ordered list of stages with a head on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import paddle
from paddle import Tensor

from toolkit.errors import NetworkError
from toolkit.stage import StageInfo
from toolkit.zoo.chain import Freezing, StageChain, evaluating
from toolkit.zoo.lookup import nearest
from toolkit.zoo.spec import NetworkSpec
from toolkit.zoo.steps import FUNCTIONS, BoundStage

__all__ = ["StagedNetwork", "check_image_size"]


def check_image_size(spec: NetworkSpec, image_size: int) -> None:
    """Refuse an image size that the network cannot take.

    Args:
        spec: Row of the network.
        image_size: Side of the square input in pixels.

    Raises:
        NetworkError: The size is below the network's minimum, or above the maximum of one that has one.
    """
    if image_size < spec.min_size:
        raise NetworkError(
            f"{spec.name} cannot take images of {image_size} pixels: it needs at least {spec.min_size}",
            hint=f"set data.image_size to {spec.min_size} or more (its own size is {spec.input_size})",
        )
    if spec.max_size is not None and image_size > spec.max_size:
        raise NetworkError(
            f"{spec.name} cannot take images of {image_size} pixels: its dense layers allow at most {spec.max_size}",
            hint=f"set data.image_size to {spec.input_size}",
        )


class StagedNetwork(StageChain):
    """A network of the zoo.

    The sublayers are the original network's under their own names, so that state-dict keys are the original's.

    Args:
        spec: The network's row.
        stages: Its stages, bound to an original network; those above a cut left out.
        top: Pooling and head, bound.
        num_classes: Number of outputs.
        left_out: State-dict keys of the original network that this one does not have (stages above a cut, the
            original head, auxiliary classifiers); files may hold them.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        stages: Sequence[BoundStage],
        top: BoundStage,
        num_classes: int,
        left_out: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(stages, top, 0, Freezing())
        self.spec = spec
        self.num_classes = num_classes
        self.left_out = left_out
        self.stage_names = tuple(stage.name for stage in stages)

    def features(self, x: Tensor, k: int) -> Tensor:
        """The activation after the first ``k`` stages; for 0 the input itself."""
        for stage in self._stages[:k]:
            for step in stage.steps:
                x = step(x)
        return x

    def forward_from(self, z: Tensor, k: int) -> Tensor:
        """From the activation after the first ``k`` stages to logits [N, num_classes]."""
        for stage in self._stages[k:]:
            for step in stage.steps:
                z = step(z)
        for step in self._top.steps:
            z = step(z)
        return z

    def pool(self, z: Tensor) -> Tensor:
        """From the last stage's activation, [N, C, H, W] or [N, D], to the features that the head reads, [N, D]."""
        return FUNCTIONS[":pool"](z)

    @contextmanager
    def entering_at(self, k: int) -> Iterator[None]:
        """For a while ``forward`` starts above the first ``k`` stages, on their cached output.

        For all of them that may be the pooled output (``pool``), which further pooling leaves as it is; this holds
        for networks with a new head.
        """
        self._start = k
        try:
            yield
        finally:
            self._start = 0

    def tail(self, k: int) -> StageChain:
        """What is above the first ``k`` stages, as a layer that shares this network's sublayers.

        Freezing this network freezes the tail's stages as well; the mode (train, eval) is each one's own call.
        """
        return StageChain(self._stages, self._top, k, self._freezing)

    def freeze(self, k: int | str) -> None:
        """Freeze the first ``k`` stages (or up to and with a named one) and unfreeze the rest.

        The head is never frozen. Later calls replace earlier ones.

        Raises:
            NetworkError: There are not so many stages.
        """
        k = self._freezing.stages = self.resolve(k)
        for index, stage in enumerate(self._stages):
            for parameter in stage.weights.values():
                parameter.stop_gradient = index < k
            stage.set_training(self.training and index >= k)

    def resolve(self, stage: int | str) -> int:
        """Number of stages up to and with the one meant.

        Args:
            stage: A number of stages; a stage's name; the name of a group of stages (``layer3`` for the last of
                ``layer3.*``); ``all``; ``none``.

        Raises:
            NetworkError: There is no such stage.
        """
        if isinstance(stage, str):
            return self._resolve_name(stage)
        if not 0 <= stage <= len(self._stages):
            raise NetworkError(f"{self.spec.name} has {len(self._stages)} stages, not {stage}", hint=self._stage_list())
        return int(stage)

    def _resolve_name(self, name: str) -> int:
        words = {"none": 0, "all": len(self._stages)}
        if name in words:
            return words[name]
        found = [i for i, known in enumerate(self.stage_names, 1) if known == name or known.startswith(f"{name}.")]
        if not found:
            guess = nearest(name, self.stage_names)
            raise NetworkError(f"{self.spec.name} has no stage {name!r}{guess}", hint=self._stage_list())
        return found[-1]

    def _stage_list(self) -> str:
        return f"stages: none, {', '.join(self.stage_names)}, all"

    def describe(self, image_size: int | None = None) -> list[StageInfo]:
        """Output shape and number of weights of every stage, from one forward pass with one blank image.

        Args:
            image_size: Side of the square input in pixels; by default the network's own.

        Raises:
            NetworkError: The network cannot take this size.
        """
        size = self.spec.input_size if image_size is None else image_size
        check_image_size(self.spec, size)
        x = paddle.zeros([1, self.spec.in_channels, size, size])
        infos = []
        with evaluating(self), paddle.no_grad():
            for stage in self._stages:
                for step in stage.steps:
                    x = step(x)
                weights = sum(prod(parameter.shape) for parameter in stage.weights.values())
                infos.append(StageInfo(stage.name, tuple(x.shape[1:]), weights))
        return infos

    def stage_state(self, index: int) -> dict[str, Tensor]:
        """Weights and statistics of stage ``index`` (from 0), by full state-dict key."""
        return self._stages[index].state()

    def stage_parameters(self, index: int) -> dict[str, Tensor]:
        """Weights of stage ``index`` (from 0), by full state-dict key."""
        return dict(self._stages[index].weights)

    def head_parameters(self) -> dict[str, Tensor]:
        """Weights of the head, by full state-dict key."""
        return dict(self._top.weights)
