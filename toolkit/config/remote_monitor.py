"""``callbacks.remote_monitor`` and ``callbacks.weight_averaging``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from toolkit.config.section import Fraction, Section

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = "for instance https://monitor.example.org/runs"


def host_of(url: str) -> str:
    """The host of an http(s) address, with its port.

    Raises:
        ValueError: It is no such address, or holds a name or a password; the message does not repeat it.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"this is no address; {_EXAMPLE}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("a name or a password does not belong in the address; use token_env")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or re.search(r"\s", url.strip()):
        kind = f"{parts.scheme}:" if parts.scheme else "neither"
        raise ValueError(f"expected an address that begins with http:// or https:// (found {kind}); {_EXAMPLE}")
    return f"{parts.hostname}:{port}" if port else parts.hostname


def _address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected an address; {_EXAMPLE}")
    host_of(value)
    return value.strip()


def _name_of_variable(value: Any) -> Any:
    """The value is not repeated: it may be the token itself."""
    if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise ValueError("expected the name of an environment variable, not the token itself")
    return value


class RemoteMonitorConfig(Section):
    """Post a JSON message to a server at the begin and the end, after each epoch, and on failure."""

    url: Annotated[str, BeforeValidator(_address)]
    """Where to post, http or https."""
    token_env: Annotated[str | None, BeforeValidator(_name_of_variable)] = None
    """Name of the environment variable with a token, sent as `Authorization: Bearer`."""
    timeout: float = Field(default=5.0, gt=0, le=600)
    """Seconds to wait for a connection, and again for an answer; training never waits."""
    retries: int = Field(default=5, ge=0)
    """Further attempts for a message that the server answers with an error of its own."""
    queue: int = Field(default=100, ge=1)
    """Messages that wait at most; beyond it the oldest epochs are dropped."""
    flush_seconds: float = Field(default=3.0, ge=0, le=60)
    """Longest wait for the last message at the end."""


class WeightAveragingConfig(Section):
    """Average the weights over training, and evaluate the average beside the weights themselves."""

    kind: Literal["ema", "last"] = "ema"
    """`ema`: an average that follows the weights step by step; `last`: the mean of the last epochs' weights."""
    decay: Fraction = 0.999
    """`ema`: share of the average that stays in each step; less at the beginning."""
    last: int = Field(default=5, ge=2)
    """`last`: number of epochs."""
    start_epoch: int = Field(default=0, ge=0)
    """Epochs to pass before averaging begins."""
    keep: Literal["better", "raw", "average"] = "better"
    """What the best epoch keeps: the weights themselves, their average, or the better of the two."""
