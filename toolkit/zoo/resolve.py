"""Resolve a config's weights setting to a file on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.core.errors import WeightsError
from toolkit.core.names import did_you_mean
from toolkit.zoo.download import fetch, mirrored, weights_folder
from toolkit.zoo.registry import get_spec, list_networks
from toolkit.zoo.spec import NetworkSpec
from toolkit.zoo.weights import read_weights
from toolkit.zoo.wrong_files import weights_of_run


def resolve_weights(spec: NetworkSpec, pretrained: bool | str | Path) -> Path | None:
    """Find the requested weights file, downloading it if needed.

    Args:
        spec: Row of the network.
        pretrained: False: none. True: the ImageNet weights of Paddle or PaddleClas, in Paddle's own cache folder.
            Otherwise a local file or a URL; a URL's file is kept in a separate folder beside them.

    Returns:
        The file, or None for random weights.

    Raises:
        WeightsError: No such weights exist, or they cannot be obtained; the message says what to do.
    """
    check_weights(spec, pretrained)
    if pretrained is False:
        return None
    if pretrained is True:
        return _published(spec)
    if _is_url(pretrained):
        return _from_url(str(pretrained))
    return _local(Path(pretrained).expanduser())


def check_weights(spec: NetworkSpec, pretrained: bool | str | Path) -> None:
    """Check that requested weights exist, as far as that is known without a download.

    Raises:
        WeightsError: There are no published weights, or the file is missing.
    """
    if pretrained is True and spec.weights is None:
        guess = did_you_mean(spec.name, [name for name in list_networks() if get_spec(name).pretrained], 3)
        raise WeightsError(
            f"Paddle has no weights for {spec.name}",
            hint="set model.pretrained to false, to a local file or to a URL, or choose a network with weights"
            + (f": {guess}" if guess else ""),
        )
    if not isinstance(pretrained, bool) and not _is_url(pretrained):
        _local(Path(pretrained).expanduser())


def _is_url(pretrained: str | Path) -> bool:
    return urlsplit(str(pretrained)).scheme in ("http", "https")


def _published(spec: NetworkSpec) -> Path:
    assert spec.weights is not None
    name = _file_name(spec.weights.url)
    check = read_weights if spec.weights.md5 is None else None
    return fetch(mirrored(spec.weights.url), weights_folder() / name, spec.weights.md5, check)


def _from_url(url: str) -> Path:
    folder = hashlib.sha256(url.encode()).hexdigest()[:12]
    return fetch(url, weights_folder() / folder / _file_name(url), check=read_weights)


def _file_name(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).name or "weights.pdparams"


def _local(path: Path) -> Path:
    for candidate in (path, path.with_name(f"{path.name}.pdparams")):
        if candidate.is_file():
            return candidate
    what = "is a folder" if path.is_dir() else "does not exist"
    best = weights_of_run(path)
    hint = "give a .pdparams or .safetensors file, a URL, or true for Paddle's weights"
    raise WeightsError(f"weights file {path} {what}", hint=f"give {best}, the run's best weights" if best else hint)
