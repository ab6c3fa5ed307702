"""Rows of PaddleClas networks, and what happens if PaddleClas is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from toolkit.core.errors import NetworkError
from toolkit.zoo import create_network, get_spec, list_networks

NAMES = [name for name in list_networks() if name.startswith("clas/")]
FAMILIES = (
    "PPLCNet_",
    "PPLCNetV2_",
    "PPHGNet_",
    "PPHGNetV2_",
    "ResNet18_vd",
    "ResNet200_vd",
    "EfficientNetB",
    "ConvNeXt_",
    "SwinTransformer_",
    "ViT_",
    "DeiT_",
    "MobileNetV3_",
)


def test_the_families_are_there() -> None:
    assert len(NAMES) == 161
    assert not [family for family in FAMILIES if not any(name.startswith(f"clas/{family}") for name in NAMES)]


def test_every_row_is_whole() -> None:
    for name in NAMES:
        spec = get_spec(name)
        assert spec.library == "paddleclas"
        assert spec.factory == f"paddleclas.{name.removeprefix('clas/')}"
        assert spec.min_size <= spec.input_size <= (spec.max_size or spec.input_size)
        assert spec.weights is not None, name
        assert spec.weights.url.endswith("_pretrained.pdparams")
        assert spec.weights.md5 is None
        assert spec.top1 is None or 0.45 < spec.top1 < 0.9, name
        assert spec.head in spec.top[-1]


def test_no_two_rows_share_a_file() -> None:
    """Files share one folder, under their original names."""
    clas = {get_spec(name).weights.url for name in NAMES}
    assert len(clas) == len(NAMES)
    urls = clas | {get_spec(name).weights.url for name in list_networks() if get_spec(name).pretrained}
    assert len({url.rpartition("/")[2] for url in urls}) == len(urls)


def test_the_table_does_not_import_paddleclas() -> None:
    code = (
        "import sys, toolkit.zoo as zoo; names = zoo.list_networks(); specs = [zoo.get_spec(name) for name in names];"
        "zoo.create_network('lenet'); sys.exit('paddleclas' in sys.modules or 'faiss' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_without_paddleclas_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paddleclas", None)
    with pytest.raises(NetworkError, match="clas/PPLCNet_x1_0 is a network of PaddleClas, which") as caught:
        create_network("clas/PPLCNet_x1_0")
    assert 'pip install -e ".[clas]" && pip install --no-deps paddleclas==2.6.0' in str(caught.value.hint)


@pytest.mark.parametrize("error", ["ImportError('no faiss')", "AttributeError('no np.float')"])
def test_a_paddleclas_that_cannot_be_imported(error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paddleclas.py").write_text(f"raise {error}", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "paddleclas", raising=False)
    with pytest.raises(NetworkError, match=r"which cannot be imported: no (faiss|np\.float)") as caught:
        create_network("clas/PPLCNet_x1_0")
    assert "paddleclas==2.6.0" in str(caught.value.hint)


def test_another_paddleclas_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paddleclas", ModuleType("paddleclas"))
    with pytest.raises(NetworkError, match="the installed paddleclas has no PPHGNetV2_B0") as caught:
        create_network("clas/PPHGNetV2_B0")
    assert "paddleclas==2.6.0" in str(caught.value.hint)


@pytest.mark.parametrize("said", ["PPLCNet_x1_0", "clas/pplcnet_x1_0", "clas/PPLCNet_x1.0"])
def test_a_near_name_is_suggested(said: str) -> None:
    with pytest.raises(NetworkError, match=r"did you mean clas/PPLCNet_x1_0"):
        get_spec(said)


def test_position_embeddings_fix_the_image_size() -> None:
    spec = get_spec("clas/ViT_base_patch16_384")
    assert (spec.min_size, spec.input_size, spec.max_size) == (384, 384, 384)
    with pytest.raises(NetworkError, match="at most 384"):
        create_network("clas/ViT_base_patch16_384", 2, image_size=400)
