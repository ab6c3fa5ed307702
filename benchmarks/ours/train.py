"""``paddle-finetune train`` with a clock that starts after the imports; the time is added to the result."""

from __future__ import annotations

import argparse
import sys
import time
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from toolkit.commands import app, launch
from toolkit.commands.arguments import read_config
from toolkit.core.runtime import world_size


def main(args: argparse.Namespace) -> app.Outcome:
    """Train, and report the time."""
    config = read_config(args)
    from toolkit.commands import train

    wall, cpu = time.perf_counter(), _cpu()
    done = train.train(config)
    seconds, cpu_seconds = time.perf_counter() - wall, _cpu() - cpu
    if world_size() > 1:  # other processes are not visible here; assume full use of one core each
        cpu_seconds = seconds * world_size()
    return app.Outcome({**(done.json or {}), "seconds": seconds, "cpu_seconds": cpu_seconds})


def _cpu() -> float:
    """CPU-seconds of this process and its finished children."""
    return sum(use.ru_utime + use.ru_stime for use in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


if __name__ == "__main__":
    app.run(
        app.make_parser(__doc__ or "", target="config"),
        main,
        others=lambda args: launch.share(read_config(args), [sys.executable, *sys.argv]),
    )
