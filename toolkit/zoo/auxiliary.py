"""Classifiers on stages in the middle of a network, which run in training only."""

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
    """An auxiliary classifier of a network that exists.

    Attributes:
        spec: Its facts.
        stage: Number of stages up to and with the one whose output it reads.
        branch: What it runs.
    """

    spec: Auxiliary
    stage: int
    branch: BoundStage

    def __call__(self, z: Tensor) -> Tensor:
        """From the output of its stage to logits [N, classes]."""
        return run([self.branch], z)

    def check_image(self, network: str, image: Tensor) -> None:
        """Refuse images of a size for which it was not kept.

        Raises:
            NetworkError: Its dense layers do not take what its stage makes of such images.
        """
        for size in image.shape[2:]:
            if not _takes(self.spec, size):
                raise NetworkError(
                    f"{network} was made with auxiliary classifiers, which take images of {self.spec.min_size} to "
                    f"{self.spec.max_size} pixels in training, not {size}",
                    hint="give create_network the image_size that it is trained with",
                )


def bind_auxiliary(
    original: nn.Layer, spec: NetworkSpec, names: Sequence[str], size: int, num_classes: int | None, task: TaskName
) -> tuple[BoundAuxiliary, ...]:
    """The auxiliary classifiers that a network can train with.

    Args:
        original: The original network.
        spec: Its row.
        names: Names of the stages that are kept; classifiers on others are left out.
        size: Side of the images in pixels; classifiers that cannot take it are left out, and one line says so.
        num_classes: Outputs of new last layers. None: the original ones.
        task: What the outputs are.

    Returns:
        In the order of their stages.
    """
    kept = [one for one in spec.auxiliary if one.after in names]
    fitting = [one for one in kept if _takes(one, size)]
    if len(fitting) < len(kept):
        info(
            f"{spec.name}: trained without its auxiliary classifiers, which take images of {kept[0].min_size} to "
            f"{kept[0].max_size} pixels"
        )
    bound = []
    for one in fitting:
        new = {}
        if num_classes is not None:
            new[one.head] = LinearHead(one.width, num_classes, regression=TASKS[task].predicts_numbers)
        branch = bind_stage(original, one.head, one.steps, new)
        if num_classes is not None:
            _scale_dropout_in_training(branch)
        bound.append(BoundAuxiliary(one, names.index(one.after) + 1, branch))
    return tuple(bound)


def _takes(spec: Auxiliary, size: int) -> bool:
    return spec.min_size <= size <= spec.max_size


def _scale_dropout_in_training(branch: BoundStage) -> None:
    for layer in branch.layers.values():
        if isinstance(layer, nn.Dropout):
            layer.mode = "upscale_in_train"
