"""Messages to a server, delivered in the background so that the sender never waits."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.core.console import info, warn

_AGAIN = {408, 425, 429}
"""Status codes below 500 that are worth a retry (RFC 9110, RFC 8470, RFC 6585)."""
_WRONG, _OURS_TO_MEND, _SERVER_FAILED = 300, 400, 500


@dataclass(frozen=True)
class Destination:
    """Where messages go, with timeouts and retries.

    Attributes:
        url: Address, http or https.
        host: Name shown to people; the address itself may be secret.
        token: Sent as a bearer token (RFC 6750); or None.
        timeout: Seconds to wait for a connection, and again for the response.
        retries: Additional attempts if the server responds with an error of its own (5xx, 429).
        pause: Seconds before the first retry; doubled after each consecutive failure.
        longest_pause: Maximum seconds between two attempts.
    """

    url: str
    host: str
    token: str | None = field(default=None, repr=False)
    timeout: float = 5.0
    retries: int = 5
    pause: float = 1.0
    longest_pause: float = 60.0


@dataclass(eq=False)
class Message:
    """One JSON object to deliver.

    Attributes:
        body: The object; all its values are JSON-serializable.
        may_go: Whether to drop it first when the queue is full.
        attempts: Number of attempts that the server answered with an error.
    """

    body: Mapping[str, Any]
    may_go: bool = False
    attempts: int = 0


class Delivery:
    """A queue and the thread that empties it, oldest first.

    An unreachable server is retried, with growing pauses, until ``close``; meanwhile the queue keeps the newest
    messages. The thread is a daemon: a hanging request never delays the end of the process.

    Args:
        destination: Where messages go.
        most: Maximum number of queued messages; beyond it, the oldest ones that ``may_go`` are dropped.
    """

    def __init__(self, destination: Destination, most: int = 100) -> None:
        self._destination = destination
        self._most = most
        self._waiting: deque[Message] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._failures = 0
        self._dead = False
        self._reported = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="remote monitor", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of messages not delivered yet."""
        return len(self._waiting)

    def post(self, message: Message) -> None:
        """Queue a message; returns immediately."""
        with self._changed:
            if self._closed:
                return
            self._waiting.append(message)
            for old in [old for old in self._waiting if old.may_go][: max(0, len(self._waiting) - self._most)]:
                self._waiting.remove(old)
                self.dropped += 1
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is delivered.

        Args:
            seconds: Maximum wait.

        Returns:
            Whether everything was delivered.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def finish(self, seconds: float) -> None:
        """Wait like ``flush``, except for a server that did not respond to the latest attempt.

        Args:
            seconds: Maximum wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._dead, seconds)

    def close(self) -> int:
        """Stop the thread once its current request ends, without waiting for it.

        Returns:
            Number of undelivered messages, including dropped ones.
        """
        with self._changed:
            self._closed = True
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return self.dropped

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                message, dropped = self._waiting[0], self.dropped
            delivered, problem = self._send({**message.body, "dropped": dropped})
            with self._changed:
                self._note(message, delivered, problem)
                if problem and not self._closed:
                    end = time.monotonic() + self._pause()
                    self._changed.wait_for(lambda: self._closed, end - time.monotonic())

    def _send(self, body: Mapping[str, Any]) -> tuple[bool, str]:
        """Whether the message is finished, and what went wrong, in words without the address."""
        import requests  # only needed with a monitor

        where = self._destination
        try:
            with requests.post(
                where.url,
                data=json.dumps(body, ensure_ascii=False, allow_nan=False).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "paddle-finetune-toolkit"},
                auth=self._authorise,
                timeout=where.timeout,
                allow_redirects=False,
                stream=True,  # do not wait for the response body
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as error:
            return False, f"does not respond ({type(error).__name__})"
        if status < _WRONG:
            return True, ""
        again = status >= _SERVER_FAILED or status in _AGAIN
        return not again, f"answered {status}{'' if status >= _OURS_TO_MEND else ' (redirections are not followed)'}"

    def _authorise(self, request: Any) -> Any:
        """Set the token via ``auth``, so that ``.netrc`` does not override it."""
        if self._destination.token is not None:
            request.headers["Authorization"] = f"Bearer {self._destination.token}"
        return request

    def _note(self, message: Message, finished: bool, problem: str) -> None:
        """Remove a message from the queue or count an attempt; report the first problem and the recovery."""
        answered = problem.startswith("answered")
        message.attempts += answered
        finished = finished or message.attempts > self._destination.retries
        if finished and message in self._waiting:  # it may have been dropped in the meantime
            self._waiting.remove(message)
            self.dropped += bool(problem)
        self._failures = self._failures + 1 if problem else 0
        self._dead = bool(problem) and not answered
        if problem and not self._reported and not self._closed:
            warn(f"remote monitor: {self._destination.host} {problem}; training continues without it")
        elif self._reported and not problem and not self._closed:
            info(f"remote monitor: {self._destination.host} is back")
        self._reported = bool(problem)
        self._changed.notify_all()

    def _pause(self) -> float:
        doublings = min(self._failures - 1, 30)
        return float(min(self._destination.longest_pause, self._destination.pause * 2.0**doublings))
