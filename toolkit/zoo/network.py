"""Every network as an ordered list of stages with a head on top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import paddle
from numpy.typing import ArrayLike
from paddle import Tensor, nn

from toolkit.core.errors import NetworkError
from toolkit.core.evaluation import evaluating
from toolkit.core.stages import StageInfo, stage_count
from toolkit.zoo.auxiliary import BoundAuxiliary
from toolkit.zoo.execution import run, run_steps
from toolkit.zoo.forward_steps import BoundStage, Operand, place_at, swapped
from toolkit.zoo.frozen import Moving
from toolkit.zoo.head import LinearHead
from toolkit.zoo.manual_changes import remember
from toolkit.zoo.pooling import Pooling
from toolkit.zoo.sizes import check_image_size
from toolkit.zoo.spec import NetworkSpec
from toolkit.zoo.standardised_head import StandardisingHead
from toolkit.zoo.sync_batch_norm import BATCH_NORMS, synchronise


def _layers(part: BoundStage) -> list[nn.Layer]:
    return [layer for top in part.layers.values() for layer in top.sublayers(include_self=True)]


class StagedNetwork(Moving):
    """A network of the zoo.

    A head usually reads the last stage. It may read several (``taps``): then what comes after the last stage is their
    pooled outputs, concatenated, and not the map of the last one.

    Sublayers keep the original network's names, so that state-dict keys match the original.

    Args:
        spec: The network's row.
        stages: Its stages, bound to an original network, without those above a cut.
        top: Pooling and head, bound.
        num_classes: Number of outputs.
        pooling: The pooling between the last stage and the head.
        in_channels: Channels of the images.
        input_weight: State-dict key of the first convolution's weights, if they were adapted to ``in_channels``.
        auxiliary: Classifiers for training, in the order of their stages.
        original_keys: State-dict keys of the original network. Those missing here (of stages above a cut, the original
            head, auxiliary classifiers) may still occur in files: ``left_out``.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        stages: Sequence[BoundStage],
        top: BoundStage,
        num_classes: int,
        pooling: Pooling,
        *,
        in_channels: int,
        input_weight: str | None = None,
        auxiliary: Sequence[BoundAuxiliary] = (),
        original_keys: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.input_weight = input_weight
        self.stage_names = tuple(stage.name for stage in stages)
        self._stages = tuple(stages)
        self._top = top
        self._pooling = pooling
        self._auxiliary = tuple(auxiliary)
        self._start = 0
        for part in (*self._stages, top, *(classifier.branch for classifier in auxiliary)):
            for path, operand in (*part.layers.items(), *part.parameters.items()):
                place_at(self, path, operand)
        self.left_out = original_keys - frozenset(self.state_dict())
        self.known = remember(self)

    @property
    def start_stage(self) -> int:
        """Number of stages that ``forward`` currently skips (``starting_at``)."""
        return self._start

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map images [N, in_channels, H, W] to logits [N, num_classes].

        In training, a network with auxiliary classifiers returns a list: the logits and those of each auxiliary
        classifier that runs (``auxiliary_weights``).
        """
        auxiliary = self._learning_auxiliary() if self.training else ()
        if not auxiliary:
            return self.forward_from(x, self._start)
        if self._start == 0:
            auxiliary[0].check_image(self.spec.name, x)
        outputs = dict(self._outputs(x, self._start))
        z = self._joined(outputs.items()) if self.taps else outputs[len(self._stages)]
        return [run([self._top], z), *(classifier(outputs[classifier.stage]) for classifier in auxiliary)]

    @property
    def auxiliary_weights(self) -> tuple[float, ...]:
        """Weights of the losses of auxiliary classifiers, in the order of their logits; () for most networks.

        A classifier is active while the stage that it reads is trained: it is skipped once that stage is frozen, and if
        ``forward`` starts above it.
        """
        return tuple(classifier.spec.weight for classifier in self._learning_auxiliary())

    def _learning_auxiliary(self) -> tuple[BoundAuxiliary, ...]:
        return tuple(classifier for classifier in self._auxiliary if classifier.stage > max(self.frozen, self._start))

    def features(self, x: Tensor, k: int, start: int = 0) -> Tensor:
        """The activation after the first ``k`` stages; for 0 the input itself.

        After all stages of a network with ``taps`` these are the features that the head reads, [N, D].

        Args:
            x: An image, or the activation after the first ``start`` stages.
            k: Number of stages.
            start: Number of stages already applied to ``x``, 0 to ``k``.

        Raises:
            NetworkError: The head reads a stage that was already applied; see ``sufficient``.
        """
        if not self.taps or k < len(self._stages) or start == k:
            return run(self._stages[start:k], x)
        return self._joined(self._outputs(x, start))

    def _outputs(self, x: Tensor, start: int) -> Iterator[tuple[int, Tensor]]:
        """``x``, the activation after ``start`` stages, and that after each further stage, with its number."""
        if self.sufficient(start) != start:
            raise NetworkError(
                f"the head of {self.spec.name} reads {self.stage_names[self.taps[0]]}, which the activation after "
                f"{self.stage_names[start - 1]} does not contain",
                hint=f"start after at most {self.sufficient(start)} stages",
            )
        yield start, x
        for count, stage in enumerate(self._stages[start:], start + 1):
            x = run([stage], x)
            yield count, x

    def _joined(self, outputs: Iterable[tuple[int, Tensor]]) -> Tensor:
        """The features of ``taps``, [N, D], among these activations."""
        return paddle.concat([self.pool(z) for count, z in outputs if count - 1 in self.taps], axis=1)

    def forward_from(self, z: Tensor, k: int) -> Tensor:
        """Map the activation after the first ``k`` stages to logits [N, num_classes]."""
        return run([self._top], self.features(z, len(self._stages), k))

    def pool(self, z: Tensor) -> Tensor:
        """Map a stage's activation, such as [N, C, H, W], to features [N, D]; features are returned unchanged."""
        return run_steps(self._pooling.steps, z)

    @property
    def taps(self) -> tuple[int, ...]:
        """Indices of the stages whose pooled outputs the head reads, ascending; () for the last one alone."""
        return self._pooling.taps

    @property
    def feature_pieces(self) -> tuple[int, ...]:
        """Number of features from each stage that the head reads, in order; their sum is ``feature_width``."""
        return self._pooling.pieces or (self._pooling.width,)

    def sufficient(self, k: int) -> int:
        """The largest number of stages, at most ``k``, after which the activation determines the outputs.

        This is ``k`` itself unless the head also reads a lower stage.
        """
        return min(k, self.taps[0] + 1) if self.taps and k < len(self._stages) else k

    @property
    def pooling(self) -> str:
        """The kind of pooling: ``avg``, ``max``, ``gem`` or ``none``; ``avg`` if there is no map to pool."""
        return self._pooling.kind

    @property
    def pool_is_fixed(self) -> bool:
        """Whether pooling has no weights and gives one number per channel (avg, max): pooled features may be cached.

        Otherwise (gem, none), features are cached as the last stage outputs them.
        """
        return self._pooling.fixed

    @property
    def feature_width(self) -> int:
        """Number of features that the head reads, D."""
        return self._pooling.width

    def pooled_after(self, k: int) -> bool:
        """Whether features cached after the first ``k`` stages are pooled, rather than a stage's map."""
        return k == len(self._stages) and self.pool_is_fixed

    @contextmanager
    def starting_at(self, k: int) -> Iterator[None]:
        """Within the context, ``forward`` starts above the first ``k`` stages, on their cached output.

        If ``k`` covers all stages, the input may be the pooled output (``pool``), which further pooling leaves
        unchanged; this holds for networks with a new head.
        """
        self._start = k
        try:
            yield
        finally:
            self._start = 0

    def parts(self) -> Iterator[tuple[int | None, BoundStage]]:
        """Stages, auxiliary classifiers and the head, each with its index; the head's is None."""
        yield from enumerate([*self._stages, *(classifier.branch for classifier in self._auxiliary)])
        yield None, self._top

    def take_part(self, index: int | None, part: BoundStage, swap: Mapping[int, Operand]) -> None:
        """Replace a part.

        Args:
            index: Index of the part, see ``parts``.
            part: The new part.
            swap: ``id`` of an old operand -> the new one, see ``swapped``.
        """
        stages = len(self._stages)
        if index is None:
            self._top = part
            self._pooling = replace(self._pooling, steps=tuple(swapped(step, swap) for step in self._pooling.steps))
        elif index < stages:
            self._stages = (*self._stages[:index], part, *self._stages[index + 1 :])
        else:
            classifier = replace(self._auxiliary[index - stages], branch=part)
            self._auxiliary = (*self._auxiliary[: index - stages], classifier, *self._auxiliary[index - stages + 1 :])
        self.forget_modes()

    def levels(self) -> Iterator[tuple[BoundStage, int]]:
        """See ``Moving``."""
        yield from ((stage, count) for count, stage in enumerate(self._stages, 1))
        yield from ((classifier.branch, classifier.stage) for classifier in self._auxiliary)
        yield self._top, len(self._stages) + 1

    @property
    def learned_pooling(self) -> nn.Layer | None:
        """The pooling layer with weights, if any."""
        return self._pooling.layer

    def synchronise_batch_norm(self) -> int:
        """Make BatchNorm layers in training use statistics over the batches of all GPUs that train together.

        Returns:
            Number of BatchNorm layers.
        """
        return synchronise(self)

    def resolve(self, stage: int | str) -> int:
        """Number of stages up to and including the given one; see ``stage_count``.

        Raises:
            NetworkError: No such stage.
        """
        return stage_count(stage, self.stage_names, self.spec.name, NetworkError)

    def describe(self, image_size: int | None = None) -> list[StageInfo]:
        """Output shape and number of weights of every stage, from a forward pass with a blank image.

        Args:
            image_size: Side of the square input in pixels; by default the network's native size.

        Raises:
            NetworkError: The network does not support this size.
        """
        size = self.spec.input_size if image_size is None else image_size
        check_image_size(self.spec, size)
        x = paddle.zeros([1, self.in_channels, size, size])
        infos = []
        with evaluating(self), paddle.no_grad():
            for stage in self._stages:
                x = run([stage], x)
                weights = sum(prod(parameter.shape) for parameter in stage.weights.values())
                batch_norm = any(isinstance(layer, BATCH_NORMS) for layer in stage.sublayers())
                infos.append(StageInfo(stage.name, tuple(x.shape[1:]), weights, batch_norm))
        return infos

    def stage_state(self, index: int) -> dict[str, Tensor]:
        """Weights and statistics of stage ``index`` (from 0), by full state-dict key."""
        return self._stages[index].state()

    def stage_parameters(self, index: int) -> dict[str, Tensor]:
        """Weights of stage ``index`` (from 0), by full state-dict key."""
        return dict(self._stages[index].weights)

    def head_parameters(self) -> dict[str, Tensor]:
        """Weights of the head, including its pooling, by full state-dict key."""
        return dict(self._top.weights)

    def auxiliary_state(self) -> dict[str, Tensor]:
        """Weights of the auxiliary classifiers, by full state-dict key."""
        return {key: value for classifier in self._auxiliary for key, value in classifier.branch.state().items()}

    def set_target_statistics(self, mean: ArrayLike, std: ArrayLike) -> None:
        """Set the units of a regression network's targets; its outputs use them from then on.

        Args:
            mean: Mean of each target over the training images, [T].
            std: Standard deviation of each, [T], above 0.

        Raises:
            NetworkError: The network is for another task, or the shapes do not match.
        """
        layers = [layer for part in (self._top, *(c.branch for c in self._auxiliary)) for layer in _layers(part)]
        heads = [layer for layer in layers if isinstance(layer, LinearHead) and layer.regression]
        if not heads:
            raise NetworkError(f"{self.spec.name} is not for regression", hint="create it with task: regression")
        for head in heads:
            head.set_target_statistics(mean, std)

    @property
    def standardising_head(self) -> StandardisingHead | None:
        """The head if it can standardise its features, as new heads with a dense layer can; else None."""
        heads = (layer for layer in _layers(self._top) if isinstance(layer, StandardisingHead) and layer.standardises)
        return next(heads, None)

    def set_feature_statistics(self, mean: ArrayLike, scale: ArrayLike) -> None:
        """Make the head read ``(features - mean) / scale``; this changes the outputs of a trained head.

        Args:
            mean: Mean of each feature, [D].
            scale: Above 0: a single number for all features, or, with ``taps``, one for each, [D].

        Raises:
            NetworkError: The head takes no statistics, or the shapes do not match.
        """
        head = self.standardising_head
        if head is None:
            raise NetworkError(
                f"the head of {self.spec.name} does not standardise features", hint="create a new one: linear or mlp"
            )
        head.set_feature_statistics(mean, scale)
