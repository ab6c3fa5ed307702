"""Find the files for image names in a list or table, even if the names are spelled differently."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.data.decode import IMAGE_EXTENSIONS

_TRIED_EXTENSIONS = (".jpg", ".jpeg", ".png", *sorted(IMAGE_EXTENSIONS - {".jpg", ".jpeg", ".png"}))
_DEEPEST = 20


class Finder:
    """Find image files below a folder.

    A name without a file is retried with slashes instead of backslashes, without a trailing comma, and with its accents
    in the other Unicode form. The first existing file is used, and ``say`` reports it.

    Args:
        root: Folder to which names are relative.
        guess_extension: Names may lack their extension; the one that matched last is tried first.
    """

    def __init__(self, root: Path, *, guess_extension: bool = False) -> None:
        self.root = root
        self._extensions = list(_TRIED_EXTENSIONS) if guess_extension else []
        self._respelled: dict[str, dict[str, None]] = {}

    def __call__(self, name: str) -> Path:
        """Return the file of an image, or the path as written if there is none."""
        path = self._there(name)
        if path is not None:
            return path
        for what, other in _spellings(name):
            path = self._there(other)
            if path is not None:
                self._respelled.setdefault(what, {})[name] = None
                return path
        return self.root / name

    def say(self, file: Path) -> None:
        """Report names that were read differently from how they are written."""
        for what, names in self._respelled.items():
            console.info(f"{file}: {len(names)} image name(s) {what}: {listed(list(names), 2)}")
        self._respelled = {}

    def refuse_none(self, file: Path, names: Sequence[str], paths: Sequence[str]) -> None:
        """Refuse a list if none of its files exists; the search stops at the first that does.

        Raises:
            DataError: All files are missing; the message says where they were searched and gives the likely cause.
        """
        if not names or any(map(os.path.isfile, paths)):
            return
        raise DataError(
            f"{file}: none of its {len(names)} images exists; looked for {self.root / names[0]}",
            hint=self._cause(names[0]),
        )

    def _there(self, name: str) -> Path | None:
        path = self.root / name
        if path.is_file():
            return path
        if path.suffix.lower() in IMAGE_EXTENSIONS:
            return None
        for extension in self._extensions:
            for candidate in (Path(f"{path}{extension}"), Path(f"{path}{extension.upper()}")):
                if candidate.is_file():
                    self._extensions.remove(extension)
                    self._extensions.insert(0, extension)
                    return candidate
        return None

    def _in_other_case(self, parts: Sequence[str]) -> Path | None:
        """Return the only file whose name differs only in case."""
        matches = [self.root]
        for part in parts:
            entries = [entry for folder in matches if folder.is_dir() for entry in folder.iterdir()]
            matches = [entry for entry in entries if entry.name.casefold() == part.casefold()]
        return matches[0] if len(matches) == 1 and matches[0].is_file() else None

    def _cause(self, name: str) -> str:
        """Suggest why images may be missing, and what to do."""
        spelled = name.replace("\\", "/")
        parts = [part for part in PureWindowsPath(spelled).parts if part not in ("/", "\\", ".")]
        for cut in range(0 if spelled.startswith("/") else 1, min(len(parts), _DEEPEST)):
            if self._there("/".join(parts[cut:])) is not None:
                front = spelled[: spelled.index("/".join(parts[cut:]))]
                return f"they exist without the prefix {front!r}: remove it from each line"
        for folder in [self.root.absolute(), *self.root.absolute().parents][1:_DEEPEST]:
            if (folder / spelled).is_file():
                return f"set data.root: {folder}, which the names are relative to"
        other = self._in_other_case(parts)
        if other is not None:
            return f"names are case-sensitive: {other} exists"
        below = sorted({path.parent for path in self.root.glob(f"*/{spelled}") if path.is_file()}) if parts else []
        if below and not Path(spelled).is_absolute():
            folder = below[0]
            for _ in parts[1:]:
                folder = folder.parent
            return f"set data.root: {folder}, which the names are relative to"
        return "names are relative to data.root: check it, and the names"


def _spellings(name: str) -> Iterator[tuple[str, str]]:
    """Yield other spellings of a name, each with a description."""
    if "\\" in name:
        yield "have backslashes, read as slashes", name.replace("\\", "/")
    if name.endswith((",", ";")):
        yield "end with a separator, which is ignored", name[:-1].rstrip()
    if "\\" in name and name.endswith((",", ";")):
        yield "have backslashes and end with a separator", name[:-1].rstrip().replace("\\", "/")
    if not name.isascii():
        for form in ("NFC", "NFD"):
            yield "have accents that the files write another way", unicodedata.normalize(form, name)
