"""Auxiliary classifiers on intermediate stages of a network, which run in training only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paddle import Tensor, nn

from toolkit.core.console import info
from toolkit.core.errors import NetworkError
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo.execution import run
from toolkit.zoo.forward_steps import BoundStage, bind_stage
from toolkit.zoo.head import LinearHead
from toolkit.zoo.spec import Auxiliary, NetworkSpec


@dataclass(frozen=True, eq=False)
class BoundAuxiliary:
    """An auxiliary classifier bound to a network.

    Attributes:
        spec: Its specification.
        stage: Number of stages up to and including the one whose output it reads.
        branch: The steps that it runs.
    """

    spec: Auxiliary
    stage: int
    branch: BoundStage

    def __call__(self, z: Tensor) -> Tensor:
        """Map the output of its stage to logits [N, classes]."""
        return run([self.branch], z)

    def check_image(self, network: str, image: Tensor) -> None:
        """Reject images of a size that the classifier does not support.

        Raises:
            NetworkError: Its dense layers do not fit its stage's output for such images.
        """
        for size in image.shape[2:]:
            if not _takes(self.spec, size):
                raise NetworkError(
                    f"{network} was created with auxiliary classifiers, which take images of {self.spec.min_size} to "
                    f"{self.spec.max_size} pixels in training, not {size}",
                    hint="give create_network the image_size that it is trained with",
                )


def bind_auxiliary(
    original: nn.Layer, spec: NetworkSpec, names: Sequence[str], size: int, num_classes: int | None, task: TaskName
) -> tuple[BoundAuxiliary, ...]:
    """Bind the auxiliary classifiers that a network can train with.

    Args:
        original: The original network.
        spec: Its row.
        names: Names of the kept stages; classifiers on others are omitted.
        size: Side of the images in pixels; classifiers that do not support it are omitted, with a message.
        num_classes: Outputs of new last layers. None: the original ones.
        task: Task, which determines what the outputs are.

    Returns:
        The classifiers, in the order of their stages.
    """
    kept = [auxiliary for auxiliary in spec.auxiliary if auxiliary.after in names]
    fitting = [auxiliary for auxiliary in kept if _takes(auxiliary, size)]
    if len(fitting) < len(kept):
        info(
            f"{spec.name}: trained without its auxiliary classifiers, which take images of {kept[0].min_size} to "
            f"{kept[0].max_size} pixels"
        )
    bound = []
    for auxiliary in fitting:
        new = {}
        if num_classes is not None:
            new[auxiliary.head] = LinearHead(auxiliary.width, num_classes, regression=TASKS[task].predicts_numbers)
        branch = bind_stage(original, auxiliary.head, auxiliary.steps, new)
        if num_classes is not None:
            _scale_dropout_in_training(branch)
        bound.append(BoundAuxiliary(auxiliary, names.index(auxiliary.after) + 1, branch))
    return tuple(bound)


def _takes(spec: Auxiliary, size: int) -> bool:
    return spec.min_size <= size <= spec.max_size


def _scale_dropout_in_training(branch: BoundStage) -> None:
    for layer in branch.layers.values():
        if isinstance(layer, nn.Dropout):
            layer.mode = "upscale_in_train"
