"""Times that people write, such as 20m."""

from __future__ import annotations

import re

from toolkit.core.errors import ConfigError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: str, option: str) -> float:
    """Parse ``90s``, ``20m``, ``1.5h`` or ``1h30m`` as seconds.

    Args:
        text: The time.
        option: What it is given for, for the message.

    Raises:
        ConfigError: The text is not a time above 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text.lower())
    rest = re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])", "", text.lower()).strip()
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if rest or seconds <= 0:
        raise ConfigError(f"{option}: expected a time like 20m, 90s or 1h30m (found {text!r})")
    return seconds
