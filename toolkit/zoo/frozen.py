"""What moves in a network in training: frozen stages, held weights, and BatchNorm statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from paddle import Tensor, nn

from toolkit.zoo.forward_steps import BoundStage
from toolkit.zoo.manual_changes import Known, ManualChanges, rebind
from toolkit.zoo.sync_batch_norm import BATCH_NORMS

if TYPE_CHECKING:
    from typing_extensions import Self


def _switch_tracer(training: bool) -> None:
    """Set the process-wide flag that ``Layer.train`` and ``Layer.eval`` set besides the modes of layers."""
    empty = nn.Layer()
    empty.train() if training else empty.eval()


class Moving(nn.Layer):
    """A network of parts, some of which are frozen.

    Attributes:
        by_hand: Manual changes so far.
        known: Its composition at the last ``rebind``.
    """

    known: Known

    def __init__(self) -> None:
        super().__init__()
        self._frozen = self._planned = 0
        self._keeps_statistics = False
        self._modes: list[tuple[nn.Layer, bool]] | None = None
        self._all_parameters: list[Tensor] = []
        self.by_hand = ManualChanges()

    def levels(self) -> Iterator[tuple[BoundStage, int]]:
        """Stages, auxiliary classifiers and the head, each with the number of stages that freezes it.

        The head's is larger than the number of stages.
        """
        raise NotImplementedError

    def resolve(self, stage: int | str) -> int:
        """Number of stages up to and including the given one."""
        raise NotImplementedError

    @property
    def frozen(self) -> int:
        """Number of frozen stages."""
        return self._frozen

    @property
    def planned(self) -> int:
        """Number of frozen stages by the plan (``set_frozen``)."""
        return self._planned

    @property
    def has_other_parameters(self) -> bool:
        """Whether parameters were added or removed since the last ``train``."""
        return self._modes is not None and [*map(id, self.parameters())] != [*map(id, self._all_parameters)]

    def trainable(self) -> dict[str, Tensor]:
        """The currently trainable weights, by state-dict key."""
        weights = (pair for part, _ in self.levels() for pair in part.weights.items())
        return {key: weight for key, weight in weights if not weight.stop_gradient}

    def freeze(self, k: int | str) -> None:
        """Freeze the first ``k`` stages (or up to and including a named one) and unfreeze the rest.

        The head is never frozen; an auxiliary classifier is, with the stage that it reads. Later calls replace
        earlier ones. A trainer treats this like ``transfer.freeze``.

        Raises:
            NetworkError: There are fewer stages, or a manual change cannot be trained.
        """
        count = self.resolve(k)
        rebind(self)
        self.by_hand.frozen, self.by_hand.held = count, frozenset()
        self._freeze(count)

    def set_frozen(self, count: int) -> None:
        """Freeze the first ``count`` stages and unfreeze the rest, as a plan requires; held weights stay held."""
        self._planned = count
        self._freeze(count)

    def _freeze(self, count: int) -> None:
        self._frozen = count
        for part, frozen in self._parts():
            for key, parameter in part.weights.items():
                parameter.stop_gradient = frozen or key in self.by_hand.held
        self.forget_modes()
        self._set_modes(self.training)

    def hold(self, weights: Iterable[str], evaluating: Iterable[str] = ()) -> None:
        """Hold some weights fixed in any stage; BatchNorm layers with held weights keep their statistics.

        Args:
            weights: State-dict keys; later calls replace earlier ones.
            evaluating: Paths of layers that stay in evaluation mode in training.
        """
        self.by_hand.held, self.by_hand.evaluating = frozenset(weights), frozenset(evaluating)
        self._freeze(self._frozen)

    def held_state(self) -> dict[str, Tensor]:
        """Held weights and the statistics of held BatchNorm layers, by state-dict key."""
        layers = [layer for layer in self._held_layers() if isinstance(layer, BATCH_NORMS)]
        statistics = {id(statistic) for layer in layers for statistic in (layer._mean, layer._variance)}
        held = self.by_hand.held
        return {key: tensor for key, tensor in self.state_dict().items() if key in held or id(tensor) in statistics}

    def _held_layers(self) -> list[nn.Layer]:
        """Layers kept in evaluation by hand: explicitly, or as BatchNorm with all weights held."""
        held, evaluating = self.by_hand.held, self.by_hand.evaluating
        held_layers = []
        for path, layer in self.named_sublayers() if held or evaluating else ():
            own = [f"{path}.{name}" for name in ("weight", "bias") if getattr(layer, name, None) is not None]
            batch_norm = isinstance(layer, BATCH_NORMS) and bool(own) and held.issuperset(own)
            if path in evaluating or batch_norm:
                held_layers.append(layer)
        return held_layers

    def keep_statistics(self, keep: bool) -> None:
        """Make BatchNorm use its stored statistics in moving stages as well, or those of each batch.

        Statistics of a few new images are worse than those of pretraining, and a network that trains with the former
        but evaluates with their running mean behaves differently in evaluation (hence Keras' guide to fine-tuning keeps
        the pretrained ones). Weights of these layers learn either way. Layers added by hand have no statistics to keep.

        Args:
            keep: Whether to keep them, until the next call; ``freeze`` does not change this.
        """
        self._keeps_statistics = keep
        self.forget_modes()
        self._set_modes(self.training)

    def _parts(self) -> Iterator[tuple[BoundStage, bool]]:
        """Stages, auxiliary classifiers and the head, and whether each is frozen."""
        return ((part, level <= self._frozen) for part, level in self.levels())

    def train(self, mode: bool = True) -> Self:
        """Training mode, except for frozen stages: their BatchNorm statistics and dropout stay as in evaluation.

        BatchNorm layers stay in evaluation in all stages if the network keeps statistics.

        ``paddle.Model`` calls this before every batch. Paddle's own method walks through all sublayers each time, which
        takes longer than a training step of a head; here the walk is done once per freezing.
        """
        _switch_tracer(mode)
        self._set_modes(mode)
        return self

    def _set_modes(self, training: bool) -> None:
        for layer, still in self._all_modes():
            layer.__dict__["training"] = training and not still

    def eval(self) -> Self:
        """Evaluation mode."""
        return self.train(False)

    def clear_gradients(self, set_to_zero: bool = True) -> None:
        """Clear the gradients of trainable weights; see ``train`` for why Paddle's own is not used."""
        self._all_modes()
        for parameter in self._all_parameters:
            if not parameter.stop_gradient:
                parameter.clear_gradient()

    def forget_modes(self) -> None:
        """Re-inspect the layers before the next step."""
        self._modes = None

    def _all_modes(self) -> list[tuple[nn.Layer, bool]]:
        """Every sublayer, and whether it stays in evaluation mode."""
        if self._modes is None:
            still = {id(layer) for part, frozen in self._parts() if frozen for layer in part.sublayers()}
            still |= {id(layer) for layer in self._held_layers()}
            if self._keeps_statistics:
                still |= {id(layer) for layer in self.known.original if isinstance(layer, BATCH_NORMS)}
            self._modes = [(layer, id(layer) in still) for layer in self.sublayers(include_self=True)]
            self._all_parameters = self.parameters()
        return self._modes

    def modes_by_hand(self) -> tuple[list[str], list[str]]:
        """Paths of layers put into evaluation mode, and into training mode, by hand since the last ``train``.

        Both are empty for a network that is in evaluation mode as a whole.
        """
        if not self.training or self._modes is None:
            return [], []
        expected = {id(layer): not still for layer, still in self._modes}
        changed = [
            (path, layer.training)
            for path, layer in self.named_sublayers()
            if layer.training != expected.get(id(layer), True)
        ]
        return [path for path, training in changed if not training], [path for path, training in changed if training]
