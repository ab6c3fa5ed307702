"""What of a network moves in training: which stages are frozen, which weights are held, who takes statistics."""

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
    """What ``Layer.train`` and ``Layer.eval`` set for the whole process, besides the modes of layers."""
    empty = nn.Layer()
    empty.train() if training else empty.eval()


class Moving(nn.Layer):
    """A network in parts, of which some are frozen.

    Attributes:
        by_hand: What was changed by hand so far.
        known: What it consisted of when somebody last looked (``rebind``).
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

        The head's is more than there are.
        """
        raise NotImplementedError

    def resolve(self, stage: int | str) -> int:
        """Number of stages up to and with the one meant."""
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
        """Whether somebody has put in or taken out parameters since the last ``train``."""
        return self._modes is not None and [*map(id, self.parameters())] != [*map(id, self._all_parameters)]

    def trainable(self) -> dict[str, Tensor]:
        """Weights that move now, by state-dict key."""
        weights = (pair for part, _ in self.levels() for pair in part.weights.items())
        return {key: weight for key, weight in weights if not weight.stop_gradient}

    def freeze(self, k: int | str) -> None:
        """Freeze the first ``k`` stages (or up to and with a named one) and unfreeze the rest.

        The head is never frozen; an auxiliary classifier is, with the stage that it reads. Later calls replace
        earlier ones. A trainer takes this as ``transfer.freeze``.

        Raises:
            NetworkError: There are not so many stages, or what was changed by hand cannot be trained.
        """
        count = self.resolve(k)
        rebind(self)
        self.by_hand.frozen, self.by_hand.held = count, frozenset()
        self._freeze(count)

    def set_frozen(self, count: int) -> None:
        """Freeze the first ``count`` stages and unfreeze the rest, as a plan says; what is held stays held."""
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
        """Keep some weights as they are, wherever they are; BatchNorm layers so held keep their statistics.

        Args:
            weights: State-dict keys; later calls replace earlier ones.
            evaluating: Paths of layers that stay in evaluation mode in training.
        """
        self.by_hand.held, self.by_hand.evaluating = frozenset(weights), frozenset(evaluating)
        self._freeze(self._frozen)

    def held_state(self) -> dict[str, Tensor]:
        """Weights that are held, and what BatchNorm layers keep for it, by state-dict key."""
        layers = [layer for layer in self._held_layers() if isinstance(layer, BATCH_NORMS)]
        statistics = {id(each) for layer in layers for each in (layer._mean, layer._variance)}
        held = self.by_hand.held
        return {key: each for key, each in self.state_dict().items() if key in held or id(each) in statistics}

    def _held_layers(self) -> list[nn.Layer]:
        """Layers that stay in evaluation by hand: by themselves, or as BatchNorm whose weights are all held."""
        held, evaluating = self.by_hand.held, self.by_hand.evaluating
        found = []
        for path, layer in self.named_sublayers() if held or evaluating else ():
            own = [f"{path}.{name}" for name in ("weight", "bias") if getattr(layer, name, None) is not None]
            batch_norm = isinstance(layer, BATCH_NORMS) and bool(own) and held.issuperset(own)
            if path in evaluating or batch_norm:
                found.append(layer)
        return found

    def keep_statistics(self, keep: bool) -> None:
        """Let BatchNorm normalise by the statistics that it has, in stages that move too; or by those of each batch.

        Statistics of a few new images are worse than those of pretraining, and a network whose BatchNorm takes the
        former in training and their running mean in evaluation is another network there (Keras' guide to
        fine-tuning keeps them for that reason). Weights of these layers learn either way. Layers that were put in by
        hand have nothing to keep.

        Args:
            keep: Keep them, until it is said otherwise; ``freeze`` changes nothing of that.
        """
        self._keeps_statistics = keep
        self.forget_modes()
        self._set_modes(self.training)

    def _parts(self) -> Iterator[tuple[BoundStage, bool]]:
        """Stages, auxiliary classifiers and the head, and whether each is frozen."""
        return ((part, level <= self._frozen) for part, level in self.levels())

    def train(self, mode: bool = True) -> Self:
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

    def eval(self) -> Self:
        """Evaluation mode."""
        return self.train(False)

    def clear_gradients(self, set_to_zero: bool = True) -> None:
        """Forget the gradients of what is trained; see ``train`` for why this is not Paddle's own."""
        self._all_modes()
        for parameter in self._all_parameters:
            if not parameter.stop_gradient:
                parameter.clear_gradient()

    def forget_modes(self) -> None:
        """Walk through the layers again before the next step."""
        self._modes = None

    def _all_modes(self) -> list[tuple[nn.Layer, bool]]:
        """Every sublayer, and whether it stays in evaluation."""
        if self._modes is None:
            still = {id(layer) for part, frozen in self._parts() if frozen for layer in part.sublayers()}
            still |= {id(layer) for layer in self._held_layers()}
            if self._keeps_statistics:
                still |= {id(layer) for layer in self.known.original if isinstance(layer, BATCH_NORMS)}
            self._modes = [(layer, id(layer) in still) for layer in self.sublayers(include_self=True)]
            self._all_parameters = self.parameters()
        return self._modes

    def modes_by_hand(self) -> tuple[list[str], list[str]]:
        """Paths of layers that somebody put into evaluation, and of those into training, since the last ``train``.

        Nothing can be said of a network that is in evaluation as a whole.
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
