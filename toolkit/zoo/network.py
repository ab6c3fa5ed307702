"""Every network as an ordered list of stages with a head on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import paddle
from numpy.typing import ArrayLike
from paddle import Tensor, nn

from toolkit.errors import NetworkError
from toolkit.stage import StageInfo
from toolkit.zoo.auxiliary import BoundAuxiliary
from toolkit.zoo.head import LinearHead
from toolkit.zoo.naming import resolve_stage
from toolkit.zoo.pooling import Pooling
from toolkit.zoo.running import evaluating, run
from toolkit.zoo.sizes import check_image_size
from toolkit.zoo.spec import NetworkSpec
from toolkit.zoo.standardising import StandardisingHead
from toolkit.zoo.steps import BoundStage, place_at
from toolkit.zoo.sync_batch_norm import BATCH_NORMS, synchronise

__all__ = ["StagedNetwork"]


def _switch_tracer(training: bool) -> None:
    """What ``Layer.train`` and ``Layer.eval`` set for the whole process, besides the modes of layers."""
    empty = nn.Layer()
    empty.train() if training else empty.eval()


def _layers(part: BoundStage) -> list[nn.Layer]:
    return [layer for top in part.layers.values() for layer in top.sublayers(include_self=True)]


class StagedNetwork(nn.Layer):
    """A network of the zoo.

    The sublayers are the original network's under their own names, so that state-dict keys are the original's.

    Args:
        spec: The network's row.
        stages: Its stages, bound to an original network; those above a cut left out.
        top: Pooling and head, bound.
        num_classes: Number of outputs.
        pooling: What comes between the last stage and the head.
        in_channels: Channels of the images.
        input_weight: State-dict key of the first convolution's weights, where they were adapted to ``in_channels``.
        auxiliary: Classifiers for training, in the order of their stages.
        original_keys: State-dict keys of the original network. Those that this one does not have (stages above a cut,
            the original head, auxiliary classifiers) may be in files: ``left_out``.
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
        self._frozen = 0
        self._keeps_statistics = False
        self._modes: list[tuple[nn.Layer, bool]] | None = None
        self._all_parameters: list[Tensor] = []
        for part in (*self._stages, top, *(one.branch for one in auxiliary)):
            for path, thing in (*part.layers.items(), *part.parameters.items()):
                place_at(self, path, thing)
        self.left_out = original_keys - frozenset(self.state_dict())

    @property
    def frozen(self) -> int:
        """Number of frozen stages."""
        return self._frozen

    @property
    def entry(self) -> int:
        """Number of stages that ``forward`` leaves out for now (``entering_at``)."""
        return self._start

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """From images [N, in_channels, H, W] to logits [N, num_classes].

        In training, of a network with auxiliary classifiers: a list of the logits and those of each auxiliary
        classifier that runs (``auxiliary_weights``).
        """
        auxiliary = self._learning_auxiliary() if self.training else ()
        if not auxiliary:
            return run((*self._stages[self._start :], self._top), x)
        if self._start == 0:
            auxiliary[0].check_image(self.spec.name, x)
        outputs = {}
        for count, stage in enumerate(self._stages[self._start :], self._start + 1):
            x = outputs[count] = run([stage], x)
        return [run([self._top], x), *(one(outputs[one.stage]) for one in auxiliary)]

    @property
    def auxiliary_weights(self) -> tuple[float, ...]:
        """Weights of the losses of auxiliary classifiers, in the order of their logits; () for nearly all networks.

        A classifier counts while the stage that it reads is trained: it is left out once that stage is frozen, and
        where ``forward`` starts above it.
        """
        return tuple(one.spec.weight for one in self._learning_auxiliary())

    def _learning_auxiliary(self) -> tuple[BoundAuxiliary, ...]:
        return tuple(one for one in self._auxiliary if one.stage > max(self._frozen, self._start))

    def features(self, x: Tensor, k: int, start: int = 0) -> Tensor:
        """The activation after the first ``k`` stages; for 0 the input itself.

        Args:
            x: An image, or the activation after the first ``start`` stages.
            k: Number of stages.
            start: Stages that ``x`` has behind it, 0 to ``k``.
        """
        return run(self._stages[start:k], x)

    def forward_from(self, z: Tensor, k: int) -> Tensor:
        """From the activation after the first ``k`` stages to logits [N, num_classes]."""
        return run((*self._stages[k:], self._top), z)

    def pool(self, z: Tensor) -> Tensor:
        """From the last stage's activation, [N, C, H, W] or [N, D], to the features that the head reads, [N, D]."""
        for step in self._pooling.steps:
            z = step(z)
        return z

    @property
    def pooling(self) -> str:
        """What ``pool`` does: ``avg``, ``max``, ``gem`` or ``none``; ``avg`` too where there is no map to pool."""
        return self._pooling.kind

    @property
    def pool_is_fixed(self) -> bool:
        """Whether pooling has nothing to learn and gives one number a channel (avg, max): pooled features may be kept.

        Where it is not (gem, none), features are kept as the last stage gives them.
        """
        return self._pooling.fixed

    @property
    def feature_width(self) -> int:
        """Number of features that the head reads, D."""
        return self._pooling.width

    def pooled_after(self, k: int) -> bool:
        """Whether the features kept after the first ``k`` stages are pooled ones, and not the last stage's map."""
        return k == len(self._stages) and self.pool_is_fixed

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

    def freeze(self, k: int | str) -> None:
        """Freeze the first ``k`` stages (or up to and with a named one) and unfreeze the rest.

        The head is never frozen; an auxiliary classifier is, with the stage that it reads. Later calls replace
        earlier ones.

        Raises:
            NetworkError: There are not so many stages.
        """
        self._frozen = self.resolve(k)
        for part, frozen in self._parts():
            for parameter in part.weights.values():
                parameter.stop_gradient = frozen
        self._modes = None
        self._set_modes(self.training)

    def synchronise_batch_norm(self) -> int:
        """Let BatchNorm layers in training take their statistics over the batches of all GPUs that train together.

        Returns:
            Number of BatchNorm layers.
        """
        return synchronise(self)

    def keep_statistics(self, keep: bool) -> None:
        """Let BatchNorm normalise by the statistics that it has, in stages that move too; or by those of each batch.

        Statistics of a few new images are worse than those of pretraining, and a network whose BatchNorm takes the
        former in training and their running mean in evaluation is another network there (Keras' guide to
        fine-tuning keeps them for that reason). Weights of these layers learn either way.

        Args:
            keep: Keep them, until it is said otherwise; ``freeze`` changes nothing of that.
        """
        self._keeps_statistics, self._modes = keep, None
        self._set_modes(self.training)

    def _parts(self) -> Iterator[tuple[BoundStage, bool]]:
        """Stages and auxiliary classifiers, and whether each is frozen."""
        for count, stage in enumerate(self._stages, 1):
            yield stage, count <= self._frozen
        for one in self._auxiliary:
            yield one.branch, one.stage <= self._frozen

    def train(self, mode: bool = True) -> StagedNetwork:
        """Training mode, except for frozen stages: their BatchNorm statistics and dropout stay as in evaluation.

        BatchNorm layers stay in evaluation in all stages where the network keeps statistics.

        ``paddle.Model`` calls this before every batch. Paddle's own walks through all sublayers each time, which
        takes longer than a step of a head; here the walk is made once for each freezing.
        """
        _switch_tracer(mode)
        self._set_modes(mode)
        return self

    def _set_modes(self, training: bool) -> None:
        for layer, still in self._all_modes():
            layer.__dict__["training"] = training and not still

    def eval(self) -> StagedNetwork:
        """Evaluation mode."""
        return self.train(False)

    def clear_gradients(self, set_to_zero: bool = True) -> None:
        """Forget the gradients of what is trained; see ``train`` for why this is not Paddle's own."""
        self._all_modes()
        for parameter in self._all_parameters:
            if not parameter.stop_gradient:
                parameter.clear_gradient()

    def _all_modes(self) -> list[tuple[nn.Layer, bool]]:
        """Every sublayer, and whether it stays in evaluation; made anew by ``freeze`` and ``keep_statistics``."""
        if self._modes is None:
            still = {id(layer) for part, frozen in self._parts() if frozen for layer in part.sublayers()}
            kinds = BATCH_NORMS if self._keeps_statistics else ()
            self._modes = [
                (layer, id(layer) in still or isinstance(layer, kinds)) for layer in self.sublayers(include_self=True)
            ]
            self._all_parameters = self.parameters()
        return self._modes

    def resolve(self, stage: int | str) -> int:
        """Number of stages up to and with the one meant; see ``resolve_stage``.

        Raises:
            NetworkError: There is no such stage.
        """
        return resolve_stage(self.spec.name, self.stage_names, stage)

    def describe(self, image_size: int | None = None) -> list[StageInfo]:
        """Output shape and number of weights of every stage, from one forward pass with one blank image.

        Args:
            image_size: Side of the square input in pixels; by default the network's own.

        Raises:
            NetworkError: The network cannot take this size.
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
        """Weights of the head, those of its pooling among them, by full state-dict key."""
        return dict(self._top.weights)

    def auxiliary_state(self) -> dict[str, Tensor]:
        """Weights of the auxiliary classifiers, by full state-dict key."""
        return {key: value for one in self._auxiliary for key, value in one.branch.state().items()}

    def set_target_statistics(self, mean: ArrayLike, std: ArrayLike) -> None:
        """Tell a network for regression in which units its targets are; its outputs are in them from now on.

        Args:
            mean: Mean of each target over the training images, [T].
            std: Standard deviation of each, [T], above 0.

        Raises:
            NetworkError: The network is for another task, or the numbers do not fit it.
        """
        layers = [layer for part in (self._top, *(one.branch for one in self._auxiliary)) for layer in _layers(part)]
        heads = [layer for layer in layers if isinstance(layer, LinearHead) and layer.regression]
        if not heads:
            raise NetworkError(f"{self.spec.name} was not made for regression", hint="create it with task: regression")
        for head in heads:
            head.set_target_statistics(mean, std)

    @property
    def standardising_head(self) -> StandardisingHead | None:
        """The head, where it can standardise its features: new ones with a dense layer."""
        heads = (layer for layer in _layers(self._top) if isinstance(layer, StandardisingHead) and layer.standardises)
        return next(heads, None)

    def set_feature_statistics(self, mean: ArrayLike, scale: float) -> None:
        """Let the head see ``(features - mean) / scale`` from now on; its outputs change where it has learned already.

        Args:
            mean: Mean of each feature, [D].
            scale: One number for all of them, above 0.

        Raises:
            NetworkError: The head takes no statistics, or the numbers do not fit it.
        """
        head = self.standardising_head
        if head is None:
            raise NetworkError(
                f"the head of {self.spec.name} does not standardise features", hint="make a new one: linear or mlp"
            )
        head.set_feature_statistics(mean, scale)
