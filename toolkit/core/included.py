"""The configurations that come with the toolkit: ``configs/`` of a clone, or the copies in an installed package."""

from __future__ import annotations

from pathlib import Path

import toolkit

_HERE = Path(toolkit.__file__).resolve().parent
_FOLDERS = (_HERE / "configs", _HERE.parent / "configs")
"""Of a wheel; of a clone."""


def included_configs() -> dict[str, Path]:
    """Every included configuration by name, sorted."""
    folder = next((folder for folder in _FOLDERS if (folder / "quickstart.yaml").is_file()), None)
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(path: Path) -> Path | None:
    """Return the included configuration that ``folder``, ``folder.yaml`` or ``configs/folder.yaml`` names, or None."""
    plain = path.parent in (Path(), Path("configs")) and path.suffix in ("", ".yaml")
    return included_configs().get(path.stem) if plain else None
