"""The process of one run: read a request from stdin, train, write the result to a file, and end with the parent.

python -m toolkit.bakeoff.worker RESULT < REQUEST
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from toolkit.core.errors import Interrupted
from toolkit.core.files import write_json
from toolkit.core.locking import locked
from toolkit.core.runtime import import_paddle


def _end_with_parent() -> None:
    """End when stdin is closed: nothing follows the request, so then the parent is gone."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main(outcome: Path) -> int:
    """Train one request.

    Returns:
        Exit code.
    """
    line = os.fsdecode(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    import_paddle()
    from toolkit.bakeoff.runner import TrialRequest, train_here

    request = TrialRequest.from_json(json.loads(line))
    try:
        with locked(request.config.output_dir / ".lock", "another process is training here; waiting for it"):
            write_json(outcome, asdict(train_here(request, apart=True)))
    except (Interrupted, KeyboardInterrupt):
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
