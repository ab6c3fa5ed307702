"""Messages to a server, delivered in the background: whoever posts them never waits."""

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
"""Answers below 500 that may be another one next time (RFC 9110, RFC 8470, RFC 6585)."""
_WRONG, _OURS_TO_MEND, _SERVER_FAILED = 300, 400, 500


@dataclass(frozen=True)
class Destination:
    """Where messages go, and how patiently.

    Attributes:
        url: Address, http or https.
        host: What people are told of it; the address itself may be a secret.
        token: Sent as a bearer token (RFC 6750); None for none.
        timeout: Seconds to wait for a connection, and again for the answer.
        retries: Further attempts for a message that the server answers with an error of its own (5xx, 429).
        pause: Seconds before the first further attempt; doubled with each failure in a row.
        longest_pause: Most seconds between two attempts.
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
    """One JSON object on its way.

    Attributes:
        body: The object; every value can be JSON.
        may_go: Left out first when the queue is full.
        attempts: Times that the server answered it with an error.
    """

    body: Mapping[str, Any]
    may_go: bool = False
    attempts: int = 0


class Delivery:
    """A queue and the thread that empties it, oldest first.

    A server that is not there is tried again, with growing pauses, until ``close``; meanwhile the queue keeps the
    newest messages. The thread is a daemon: a request that hangs never holds up the end of the process.

    Args:
        destination: Where messages go.
        most: Messages that wait at most; beyond it the oldest that ``may_go`` are dropped.
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
        """Messages that have not been delivered yet."""
        return len(self._waiting)

    def post(self, message: Message) -> None:
        """Put a message into the queue; returns at once."""
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
            seconds: Longest wait.

        Returns:
            Whether it is.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def finish(self, seconds: float) -> None:
        """Wait like ``flush``, but not for a server that did not answer the newest attempt: it costs nothing.

        Args:
            seconds: Longest wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._dead, seconds)

    def close(self) -> int:
        """End the thread as soon as its request ends, which nobody waits for.

        Returns:
            Messages that were never delivered, dropped ones included.
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
        """Whether the message needs no further attempt, and what went wrong, in words without the address."""
        import requests  # only where a monitor is wanted

        where = self._destination
        try:
            with requests.post(
                where.url,
                data=json.dumps(body, ensure_ascii=False, allow_nan=False).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "paddle-finetune-toolkit"},
                auth=self._authorise,
                timeout=where.timeout,
                allow_redirects=False,
                stream=True,  # the answer's body is nothing to wait for
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as error:
            return False, f"does not answer ({type(error).__name__})"
        if status < _WRONG:
            return True, ""
        again = status >= _SERVER_FAILED or status in _AGAIN
        return not again, f"answered {status}{'' if status >= _OURS_TO_MEND else ' (redirections are not followed)'}"

    def _authorise(self, request: Any) -> Any:
        """As ``auth``, the token is not replaced by what ``.netrc`` says of the host."""
        if self._destination.token is not None:
            request.headers["Authorization"] = f"Bearer {self._destination.token}"
        return request

    def _note(self, message: Message, finished: bool, problem: str) -> None:
        """Take a message out of the queue, or count an attempt; say the first problem, and its end."""
        answered = problem.startswith("answered")
        message.attempts += answered
        finished = finished or message.attempts > self._destination.retries
        if finished and message in self._waiting:  # it may have been dropped meanwhile
            self._waiting.remove(message)
            self.dropped += bool(problem)
        self._failures = self._failures + 1 if problem else 0
        self._dead = bool(problem) and not answered
        if problem and not self._reported and not self._closed:
            warn(f"remote monitor: {self._destination.host} {problem}; training goes on without it")
        elif self._reported and not problem and not self._closed:
            info(f"remote monitor: {self._destination.host} is back")
        self._reported = bool(problem)
        self._changed.notify_all()

    def _pause(self) -> float:
        doublings = min(self._failures - 1, 30)
        return float(min(self._destination.longest_pause, self._destination.pause * 2.0**doublings))
