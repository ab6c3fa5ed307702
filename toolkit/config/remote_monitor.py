"""``callbacks.remote_monitor`` and ``callbacks.weight_averaging``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from toolkit.config.section import Fraction, Section

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = "for example https://monitor.example.org/runs"


def host_of(url: str) -> str:
    """Return the host of an http(s) URL, with its port.

    Raises:
        ValueError: The URL is invalid, or contains a user name or a password; the message does not repeat it.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"this is not a URL; {_EXAMPLE}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user name or password does not belong in the URL; use token_env")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or re.search(r"\s", url.strip()):
        kind = f"{parts.scheme}:" if parts.scheme else "neither"
        raise ValueError(f"expected a URL that starts with http:// or https:// (found {kind}); {_EXAMPLE}")
    return f"{parts.hostname}:{port}" if port else parts.hostname


def _address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a URL; {_EXAMPLE}")
    host_of(value)
    return value.strip()


def _name_of_variable(value: Any) -> Any:
    """Check a variable name without repeating it in the message: it may be the token itself."""
    if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise ValueError("expected the name of an environment variable, not the token itself")
    return value


class RemoteMonitorConfig(Section):
    """Post a JSON message to a server at the start and end, after each epoch, and on failure."""

    url: Annotated[str, BeforeValidator(_address)]
    """URL to post to, http or https."""
    token_env: Annotated[str | None, BeforeValidator(_name_of_variable)] = None
    """Name of the environment variable that holds a token, sent as `Authorization: Bearer`."""
    timeout: float = Field(default=5.0, gt=0, le=600)
    """Seconds to wait for a connection, and again for a response; training never waits."""
    retries: int = Field(default=5, ge=0)
    """Retries for a message after a server error."""
    queue: int = Field(default=100, ge=1)
    """Maximum number of waiting messages; beyond it, the oldest epochs are dropped."""
    flush_seconds: float = Field(default=3.0, ge=0, le=60)
    """Maximum wait for the last message at the end, in seconds."""


class WeightAveragingConfig(Section):
    """Average the weights over training, and evaluate both the average and the weights themselves."""

    kind: Literal["ema", "last"] = "ema"
    """`ema`: an exponential moving average over steps; `last`: the mean of the last epochs' weights."""
    decay: Fraction = 0.999
    """`ema`: fraction of the average kept in each step; smaller at the start."""
    last: int = Field(default=5, ge=2)
    """`last`: number of epochs."""
    start_epoch: int = Field(default=0, ge=0)
    """Epochs before averaging starts."""
    keep: Literal["better", "raw", "average"] = "better"
    """What to save for the best epoch: the weights themselves, their average, or the better of the two."""
