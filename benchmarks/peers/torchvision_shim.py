"""torchvision for a PyTorch without its compiled operators.

torchvision from PyPI is built for PyTorch with CUDA. With a CPU build its C++ library does not load, and then even
``import torchvision`` fails, because it refers to operators that do not exist. Neither networks nor transforms use
them; once they are declared, the import succeeds.
"""

from __future__ import annotations

import torch

_DECLARED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
library = torch.library.Library("torchvision", "FRAGMENT")
_register_fake = torch.library.register_fake


def declare() -> None:
    """Declare what the import needs, and skip registrations for operators that do not exist."""

    def register(op, *args, **kwargs):  # type: ignore[no-untyped-def]
        missing = isinstance(op, str) and op.startswith("torchvision::")
        return (lambda function: function) if missing else _register_fake(op, *args, **kwargs)

    for schema in _DECLARED:
        library.define(schema)
    torch.library.register_fake = register
