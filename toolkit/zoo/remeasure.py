"""Measure networks of the zoo again and write the results to ``measured.txt``.

Example::

    python -m toolkit.zoo.remeasure                          # all rows; takes minutes
    python -m toolkit.zoo.remeasure resnet18 'clas/PPLCNet*'  # these rows
    python -m toolkit.zoo.remeasure --missing                # rows without numbers

Numbers of networks that cannot be built here (PaddleClas is not installed) are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase

from toolkit.core.console import info, warn
from toolkit.core.errors import ToolkitError
from toolkit.zoo.measurements import Measured, measured_networks, write_measured
from toolkit.zoo.profile import profile_network
from toolkit.zoo.registry import list_networks


def measure(name: str) -> Measured:
    """Measure one network.

    Raises:
        NetworkError: The network cannot be built here.
    """
    profile = profile_network(name)
    if profile.unknown:
        warn(f"{name}: not counted, operations of unknown kinds: {', '.join(profile.unknown)}")
    return Measured(profile.parameters, profile.macs, len(profile.stages), profile.image_size)


def remeasure(patterns: Sequence[str] = (), *, missing: bool = False) -> list[str]:
    """Measure networks and save the results; finished ones are kept if the work is interrupted.

    Args:
        patterns: Names, or patterns of names; by default all networks.
        missing: Only those without numbers.

    Returns:
        Names of networks that could not be measured.
    """
    known = list_networks()
    rows = {name: row for name, row in measured_networks().items() if name in known}
    wanted = [name for name in known if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
    failed = []
    for name in wanted:
        if missing and name in rows:
            continue
        try:
            rows[name] = measure(name)
        except ToolkitError as error:
            failed.append(name)
            warn(f"{name}: {error.message}")
            continue
        info(f"{name}: {rows[name]}")
        write_measured(rows)
    write_measured(rows)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="NAME|PATTERN")
    parser.add_argument("--missing", action="store_true", help="only rows without numbers")
    arguments = parser.parse_args()
    sys.exit(1 if remeasure(arguments.patterns, missing=arguments.missing) else 0)
