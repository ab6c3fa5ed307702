"""Report a run's progress to a server."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from paddle.callbacks import Callback

from toolkit.callbacks.base import as_float
from toolkit.callbacks.delivery import Delivery, Destination, Message
from toolkit.callbacks.numbers import metrics_of
from toolkit.config import host_of
from toolkit.core.console import warn
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import is_main_process

_TOKEN = re.compile(r"[\x21-\x7e]+")
_FOLDERS = re.compile(r"(?<![\w.~])~?/(?:[^\s/:]+/)+")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class RemoteMonitor(Callback):
    """Posts JSON when a training begins and ends, after each epoch, and on failure.

    The object is ``{"run", "event": "begin" | "epoch" | "end" | "failed", "epoch": finished epochs, "epochs",
    "metrics": {"train/loss": ..., "val/loss": ...}, "reason": of a failure or null, "time": UTC, "dropped": messages
    lost so far}``. Non-finite numbers become null.

    A background thread of the main process sends everything: a dead, slow or silent server never slows or stops a
    training (see ``Delivery``). Only the last message is waited for, at most ``flush_seconds``, and only while the
    server responds.

    Args:
        url: Where to post, http or https.
        run: Name of the run.
        token_env: Name of the environment variable with a token, sent as ``Authorization: Bearer``. Its value is never
            written anywhere.
        timeout: Seconds to wait for a connection, and again for a response, > 0.
        retries: Additional attempts if the server responds with an error of its own, >= 0.
        queue: Maximum number of queued messages, >= 1; beyond it, the oldest epochs are dropped and counted.
        flush_seconds: Maximum wait for the last message at the end, >= 0.

    Raises:
        ConfigError: The address is not http(s), or the token is missing or cannot be sent.
    """

    def __init__(
        self,
        url: str,
        run: str = "run",
        token_env: str | None = None,
        timeout: float = 5.0,
        retries: int = 5,
        queue: int = 100,
        flush_seconds: float = 3.0,
    ) -> None:
        super().__init__()
        host = _host(url)
        token = read_token(token_env) if token_env else None
        if token and url.lower().startswith("http:") and host.rpartition(":")[0] not in _LOCAL and host not in _LOCAL:
            warn(f"remote monitor: the token in {token_env} is sent to {host} unencrypted; use https")
        self.run = run
        self.flush_seconds = flush_seconds
        self._destination = Destination(url, host, token, timeout, retries)
        self._most = queue
        self._delivery: Delivery | None = None
        self._restored = False
        self.reset()

    def reset(self) -> None:
        """Clear the state."""
        self.epoch = 0
        self._metrics: dict[str, float | None] = {}
        self._untold = False
        self._training = False

    def state_dict(self) -> dict[str, Any]:
        """The number of finished epochs."""
        return {"epoch": self.epoch}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the next ``begin`` reports after which epoch the run resumes."""
        self.epoch = state["epoch"]
        self._restored = True

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Report the start; ``epoch`` is above 0 if the run resumes."""
        self._end_delivery()
        epoch = self.epoch if self._restored else 0
        self.reset()
        self.epoch, self._restored, self._training = epoch, False, True
        if is_main_process():
            self._delivery = Delivery(self._destination, self._most)
        self._post("begin")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the previous epoch if it was not evaluated."""
        self._tell_epoch()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the training metrics."""
        self.epoch, self._untold = epoch + 1, True
        self._metrics = _numbers("train", logs)

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch."""
        if self._training and self._untold:
            self._metrics.update(_numbers("val", logs))
            self._tell_epoch()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Report the end, and wait briefly for its delivery."""
        self._tell_epoch()
        if self._training:
            self._post("end")
        self._training = False
        self._end_delivery()

    def failed(self, error: BaseException | None = None) -> None:
        """Report that the training failed; does nothing if it ended normally.

        Args:
            error: The cause; the first line of its message is sent, without the folders of absolute paths.
        """
        if self._training:
            self._post("failed", None if error is None else self._reason(error))
        self._training = False
        self._end_delivery()

    def close(self) -> None:
        """Report a failure if the training did not end; called to release files and threads, also after errors.

        The reason is the exception being handled, if any.
        """
        self.failed(sys.exc_info()[1])

    def _reason(self, error: BaseException) -> str:
        message = getattr(error, "message", None) or str(error)
        first = (str(message).splitlines() or [""])[0]
        token = self._destination.token
        return _FOLDERS.sub("", f"{type(error).__name__}: {first.replace(token, '***') if token else first}")

    def _tell_epoch(self) -> None:
        if self._untold:
            self._post("epoch")
        self._untold = False

    def _post(self, event: str, reason: str | None = None) -> None:
        if self._delivery is None:
            return
        body = {
            "run": self.run,
            "event": event,
            "epoch": self.epoch,
            "epochs": self.params.get("epochs") if self.params else None,
            "metrics": dict(self._metrics),
            "reason": reason,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self._delivery.post(Message(body, may_go=event == "epoch"))

    def _end_delivery(self) -> None:
        if self._delivery is None:
            return
        self._delivery.finish(self.flush_seconds)
        lost, self._delivery = self._delivery.close(), None
        if lost:
            warn(f"remote monitor: {lost} message(s) did not reach {self._destination.host}")


def _numbers(part: str, logs: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Metrics by full name; None for values that JSON cannot represent."""
    values = {f"{part}/{name}": as_float(value) for name, value in metrics_of(logs).items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _host(url: str) -> str:
    """The host of an address.

    Raises:
        ConfigError: See ``RemoteMonitor``.
    """
    try:
        return host_of(url)
    except ValueError as error:
        raise ConfigError(f"callbacks.remote_monitor.url: {error}") from None


def read_token(name: str) -> str:
    """The token in an environment variable.

    Args:
        name: Name of the variable.

    Raises:
        ConfigError: See ``RemoteMonitor``.
    """
    where, value = "callbacks.remote_monitor.token_env", os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{where}: the environment variable {name} is not set", hint=f"export {name}=...")
    if not _TOKEN.fullmatch(value):
        raise ConfigError(f"{where}: the value of {name} cannot be sent in a header", hint="use visible ASCII only")
    return value
