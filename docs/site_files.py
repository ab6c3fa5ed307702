"""A hook of mkdocs: the site has the pages of the repository in the repository's folders.

README and the pages of docs/ and benchmarks/ link to each other by their paths in the repository. With the same paths
in the site, the links work in both places.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPO = Path(__file__).resolve().parents[1]
PATTERNS = (
    "*.md",
    "LICENSE",
    "docs/*.md",
    "docs/*.png",
    "docs/*.svg",
    "docs/*.css",
    "docs/*.ipynb",
    "benchmarks/*.md",
    "benchmarks/*.jsonl",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what mkdocs has found in docs/; files of the theme stay."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted(path for pattern in PATTERNS for path in REPO.glob(pattern)):
        name = path.relative_to(REPO).as_posix()
        files.append(File(name, str(REPO), config.site_dir, config.use_directory_urls))
    return files
