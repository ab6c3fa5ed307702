"""Fine-tune PaddlePaddle's model zoo on your own images.

Importing this package sets Paddle's CPU environment (``toolkit.core.runtime``) and nothing else; the names below load
what they need when they are first used, so import ``toolkit`` before ``paddle``. In a notebook, Paddle is imported at
once, without its remarks.
"""

from __future__ import annotations

from toolkit.core import interrupts

if interrupts.run_as_tool():
    interrupts.leave_at_once()  # before all that takes time

# isort: split
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy.random  # noqa: F401  (loaded after paddle 2.6.2, which brings a zlib of its own, numpy >= 2.4 crashes)

from toolkit.core import errors
from toolkit.core.home import ensure_home
from toolkit.core.runtime import NOT_BROUGHT, configure_cpu, import_paddle, import_paddle_for_notebook

if TYPE_CHECKING:
    from toolkit.config import Config, load_config
    from toolkit.core.errors import ToolkitError
    from toolkit.data.given import Data
    from toolkit.deploy import Predictor
    from toolkit.engine import RunResult
    from toolkit.fine_tuned import FineTuned
    from toolkit.fine_tuner import FineTuner
    from toolkit.trainer import Trainer
    from toolkit.zoo import create_network

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Data",
    "FineTuned",
    "FineTuner",
    "Predictor",
    "RunResult",
    "ToolkitError",
    "Trainer",
    "create_network",
    "load_config",
]

_HOME = {
    "Config": "toolkit.config",
    "Data": "toolkit.data.given",
    "FineTuned": "toolkit.fine_tuned",
    "FineTuner": "toolkit.fine_tuner",
    "Predictor": "toolkit.deploy",
    "RunResult": "toolkit.engine",
    "ToolkitError": "toolkit.core.errors",
    "Trainer": "toolkit.trainer",
    "create_network": "toolkit.zoo",
    "load_config": "toolkit.config",
}

_LIGHT = ("toolkit.config", "toolkit.core.errors", "toolkit.data.given")
"""Modules that do not import Paddle."""

ensure_home()
configure_cpu()
import_paddle_for_notebook()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    try:
        if _HOME[name] not in _LIGHT:
            import_paddle()
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in NOT_BROUGHT:
            raise
        raise errors.ToolkitError(NOT_BROUGHT[error.name]) from error


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
