"""Run ``docs/transfer_learning.ipynb`` and record its outputs, in the Chinese notebook, too.

Edit cells in Jupyter or an editor, code in both notebooks alike, and then run: python docs/make_notebooks.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parent
ENGLISH, CHINESE = DOCS / "transfer_learning.ipynb", DOCS / "transfer_learning_zh.ipynb"
_MOST_SECONDS = 600


def read(path: Path) -> Any:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def codes(notebook: Any) -> list[str]:
    """The code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def executed(notebook: Any, home: Path) -> Any:
    """Execute a notebook in a fresh kernel.

    Args:
        notebook: It is changed.
        home: Folder to run in, and the home of the kernel.

    Returns:
        The notebook, with its outputs as a reader sees them: overwritten lines are gone, and ``home`` is ``~``.
    """
    paths = [str(DOCS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}
    for name in ("OMP_NUM_THREADS", "MPLBACKEND"):  # the toolkit and the kernel set them
        environment.pop(name, None)
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=_MOST_SECONDS,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(home)}},
    ).execute(env=environment)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            _clean(output, str(home))
    return notebook


def _clean(output: Any, home: str) -> None:
    if output.output_type == "stream":
        lines = output.text.replace(home, "~").split("\n")
        output.text = "\n".join(line.split("\r")[-1].rstrip() for line in lines)
        return
    data = output.get("data", {})
    for kind, value in data.items():
        if isinstance(value, str):
            data[kind] = value.replace(home, "~")


def main() -> int:
    """Record both notebooks."""
    english, chinese = read(ENGLISH), read(CHINESE)
    if codes(english) != codes(chinese):
        print("the two notebooks have different code", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        executed(english, Path(folder).resolve())
    recorded = iter([cell for cell in english.cells if cell.cell_type == "code"])
    for cell in chinese.cells:
        if cell.cell_type == "code":
            same = next(recorded)
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
    chinese.metadata = english.metadata
    for path, notebook in ((ENGLISH, english), (CHINESE, chinese)):
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
