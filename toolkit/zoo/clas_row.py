"""Shared definition of the rows of PaddleClas.

Networks are those of PaddleClas 2.6.0, named ``clas/<its name>``. Weights are the files that it downloads itself.
Top-1: its table of models (docs/zh_CN/models/ImageNet1k/model_list.md), or the page of the family in the same folder;
None if neither lists these weights.
"""

from __future__ import annotations

from typing import Any

from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, Stage

_STORE = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph"


def clas_row(
    name: str,
    stages: tuple[Stage, ...],
    top: tuple[str, ...],
    width: int,
    top1: float | None,
    *,
    folder: str = "",
    file: str | None = None,
    **facts: Any,
) -> NetworkSpec:
    """A row of PaddleClas. The head is the last step of the top, unless ``facts`` set another.

    Args:
        name: PaddleClas's name of the network.
        stages: See ``NetworkSpec``, as for the arguments below.
        top: Steps to the logits.
        width: Number of features that the head reads.
        top1: Published accuracy of the weights, as a fraction.
        folder: Folder of the weights in PaddleClas's store, with a trailing slash.
        file: Name of the weights without ``_pretrained.pdparams``; by default the network's name.
        facts: Other fields of the row.
    """
    return NetworkSpec(
        name=f"clas/{name}",
        factory=f"paddleclas.{name}",
        stages=stages,
        top=top,
        width=width,
        top1=top1,
        weights=PretrainedWeights(f"{_STORE}/{folder}{file or name}_pretrained.pdparams"),
        **{"head": top[-1], **facts},
    )
