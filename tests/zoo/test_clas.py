"""The contract of the zoo over PaddleClas's networks (``make clas`` installs it and runs this)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import paddle
import pytest

from benchmarks.engines import images_of, lively
from tests.zoo import test_contract as contract
from tests.zoo import test_taps as taps
from toolkit.core.errors import NetworkError
from toolkit.engine.features.runners import StageSlice, Tracing
from toolkit.inference import TOLERANCE, onnx_is_installed, relative_difference
from toolkit.zoo import create_network, get_spec, list_networks, load_weights, write_weights
from toolkit.zoo.upstream import build_original

if find_spec("paddleclas") is None:
    pytest.skip("PaddleClas is not installed; make clas installs it and runs these tests", allow_module_level=True)

NAMES = [name for name in list_networks() if get_spec(name).library == "paddleclas"]
QUICK = tuple(
    f"clas/{name}"
    for name in (
        "ConvNeXt_tiny",
        "DPN68",
        "DeiT_tiny_distilled_patch16_224",
        "DeiT_tiny_patch16_224",
        "ESNet_x0_25",
        "EfficientNetB0",
        "GhostNet_x0_5",
        "MobileNetV1_x0_25",
        "MobileNetV2_x0_25",
        "MobileNetV3_small_x0_35",
        "PPHGNetV2_B0",
        "PPHGNet_tiny",
        "PPLCNetV2_small",
        "PPLCNet_x0_25",
        "RegNetX_200MF",
        "RepVGG_A0",
        "ResNet18_vd",
        "ResNet50_vc",
        "SE_ResNet18_vd",
        "ShuffleNetV2_x0_25",
        "StarNet_S1",
        "SwinTransformer_tiny_patch4_window7_224",
    )
)
"""A small one of every family."""
UNTRUSTED = {
    "clas/CSPDarkNet53": "crashes",
    "clas/ConvNeXt_tiny": "is off by",
    "clas/SwinTransformer_tiny_patch4_window7_224": "crashes",
}
"""What Paddle Inference 3.3.1 with oneDNN does to some at 97 pixels; see ``benchmarks/engines.md``."""
ROWS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
TOKENS = ("clas/DeiT_tiny_patch16_224", "clas/SwinTransformer_tiny_patch4_window7_224")


def idle_keys(name: str, size: int) -> set[str]:
    """What the original leaves alone in training: weights it does not read (RepVGG's merged ones), constants."""
    original = build_original(get_spec(name))
    before = {key: value.numpy().copy() for key, value in original.state_dict().items()}
    original(contract.images_for(get_spec(name), 4, size)).square().sum().backward()
    learned = {key for key, parameter in original.named_parameters() if parameter.grad is not None}
    state = original.state_dict()
    return {key for key, value in before.items() if key not in learned and (state[key].numpy() == value).all()}


@pytest.mark.parametrize("name", ROWS)
def test_forward_is_the_originals(name: str) -> None:
    contract.test_network_is_the_original_to_the_bit(name)


@pytest.mark.parametrize("name", ROWS)
def test_stages_cover_every_array_once(name: str) -> None:
    contract.test_stages_and_head_hold_every_array_once(name)


@pytest.mark.parametrize("name", ROWS)
def test_head_and_description(name: str) -> None:
    network = contract.network_for_three_classes(name)
    contract.test_a_new_head_fits_the_row(network)
    contract.test_description_is_what_the_network_does(network)
    contract.test_no_dropout_of_a_new_top_scales_at_inference(name)


@pytest.mark.parametrize("name", ROWS)
def test_a_head_on_the_upper_half(name: str) -> None:
    taps.test_every_network_gives_features_of_its_upper_half(name)


@pytest.mark.parametrize("name", ROWS)
def test_freezing(name: str) -> None:
    """A third and all of the stages."""
    size = get_spec(name).min_size
    network = contract.network_for_three_classes(name)
    idle = idle_keys(name, size)
    stages = len(network.stage_names)
    for k in (stages // 3, stages):
        contract.check_freezing(network, size, k, idle)


@pytest.mark.parametrize("name", ROWS)
def test_the_smallest_size(name: str) -> None:
    spec = get_spec(name)
    assert spec.min_size == (spec.max_size or 32)
    network = create_network(name, 2, image_size=spec.min_size)
    assert list(contract.windows_beyond_their_maps(network)) == []
    with pytest.raises(NetworkError, match=f"at least {spec.min_size}"):
        create_network(name, 2, image_size=spec.min_size - 1)


def published_urls() -> dict[str, str]:
    """Map networks to the URLs in PaddleClas's modules."""
    paddleclas = import_module("paddleclas")
    modules = [import_module(getattr(paddleclas, name.removeprefix("clas/")).__module__) for name in NAMES]
    return {name: url for module in modules for name, url in module.MODEL_URLS.items()}


def test_weights_are_those_of_paddleclas() -> None:
    build_original(get_spec("clas/PPLCNet_x0_25"))  # imports it quietly
    known = published_urls()
    own = {name.removeprefix("clas/"): get_spec(name).weights.url for name in NAMES}
    different = {name: (url, known[name]) for name, url in own.items() if url != known[name]}
    large = {name for name in own if name.startswith("SwinTransformer_large")}
    assert set(different) == {"PPHGNet_base", *large}
    assert different["PPHGNet_base"][1] == ""  # the URL is only in PaddleClas's documents
    for name in large:  # the plain file does not exist, and the factory asks for this one
        assert different[name][0] == known[name].replace("_pretrained", "_22kto1k_pretrained")


class Asked(Exception):
    """Raised when PaddleClas tries to download."""


@pytest.mark.parametrize("name", ["clas/PPLCNet_x0_25", "clas/PPHGNetV2_B0", "clas/ResNet18_vd"])
def test_paddleclas_requests_the_same_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = get_spec(name)
    build_original(spec)  # imports it quietly

    def ask(url: str) -> str:
        raise Asked(url)

    monkeypatch.setattr(import_module("paddleclas.ppcls.utils.save_load"), "get_weights_path_from_url", ask)
    factory = getattr(import_module("paddleclas"), name.removeprefix("clas/"))
    with pytest.raises(Asked) as caught, paddle.utils.unique_name.guard():
        factory(pretrained=True)
    assert spec.weights is not None
    # PP-HGNetV2: PaddleClas asks for the result of the first step, whose accuracy is not published
    assert spec.weights.url == str(caught.value).replace("_ssld_stage1_", "_ssld_")


@pytest.mark.parametrize("name", sorted({*QUICK, *UNTRUSTED}))
def test_engines_are_used_where_they_agree(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = get_spec(name)
    size = max(spec.min_size, 97)
    paddle.seed(1)
    network = create_network(name, num_classes=3, image_size=size)
    lively(network, images_of(size))
    part, images = StageSlice(network, 0, len(network.stage_names)), images_of(size)
    part.eval()
    with Tracing(part, (3, size, size)) as tracing:
        engine = tracing.trusted("onnx" if onnx_is_installed() else "paddle", lambda: images)
        program = tracing.program(engine)
        found = program.load(1)(images)
        onednn = tracing.trusted("paddle", lambda: images)
    with paddle.no_grad():
        expected = part(paddle.to_tensor(images)).numpy()
    assert relative_difference(found, expected) <= TOLERANCE
    if paddle.__version__ == "3.3.1":
        said = capsys.readouterr().err
        if name in UNTRUSTED:
            assert onednn == "paddle without oneDNN"
            assert f"Paddle Inference with oneDNN {UNTRUSTED[name]}" in said
        else:  # at some sizes a kernel refuses: ResNet18_vd at 97 pixels
            assert onednn == "paddle" or "Paddle Inference with oneDNN refuses" in said


# What transformers need


def test_the_features_of_a_vit_are_its_class_token() -> None:
    network = create_network("clas/DeiT_tiny_patch16_224", num_classes=3)
    network.eval()
    z = network.features(paddle.randn([2, 3, 224, 224]), len(network.stage_names))
    assert z.shape == [2, 197, 192]
    np.testing.assert_array_equal(network.pool(z).numpy(), z[:, 0].numpy())
    assert network.pool_is_fixed


def test_swin_pools_its_tokens_as_a_map() -> None:
    network = create_network("clas/SwinTransformer_tiny_patch4_window7_224", num_classes=3)
    network.eval()
    z = network.features(paddle.randn([2, 3, 64, 64]), len(network.stage_names))
    assert z.shape == [2, 4, 768]
    np.testing.assert_allclose(network.pool(z).numpy(), z.numpy().mean(1), rtol=1e-4, atol=1e-6)
    highest = create_network("clas/SwinTransformer_tiny_patch4_window7_224", 3, pooling="max")
    np.testing.assert_array_equal(highest.pool(z).numpy(), z.numpy().max(1))


def test_tokens_keep_their_places_in_the_map() -> None:
    from toolkit.zoo.functions import FUNCTIONS

    tokens = paddle.arange(2 * 4 * 3, dtype="float32").reshape([1, 8, 3])[:, :4]
    made = FUNCTIONS[":token_map"](tokens)
    assert made.shape == [1, 3, 2, 2]
    np.testing.assert_array_equal(made[0, :, 1, 0].numpy(), tokens[0, 2].numpy())


@pytest.mark.parametrize(
    ("name", "cut", "width"),
    [
        ("clas/DeiT_tiny_patch16_224", "blocks.3", 192),
        ("clas/SwinTransformer_tiny_patch4_window7_224", "layers.1.blocks", 192),
        ("clas/PPLCNet_x0_25", "blocks4", 32),
        ("clas/DPN68", "blocks.2", 144),
    ],
)
def test_a_cut_inside(name: str, cut: str, width: int) -> None:
    network = create_network(name, num_classes=3, cut=cut)
    network.eval()
    assert list(network.head_parameters()[f"{network.spec.head}.weight"].shape) == [width, 3]
    assert network(contract.images_for(network.spec)).shape == [2, 3]


@pytest.mark.parametrize("name", TOKENS)
def test_the_parameters_of_the_whole_network_belong_to_the_stage_that_reads_them_first(name: str) -> None:
    network = create_network(name, num_classes=3)
    own = {key for key in network.state_dict() if "." not in key}
    assert own == ({"cls_token", "pos_embed"} if "DeiT" in name else set())
    assert own <= set(network.stage_parameters(0))
    network.freeze(1)
    assert all(parameter.stop_gradient for parameter in network.stage_parameters(0).values())
    network.freeze(0)
    assert not any(parameter.stop_gradient for parameter in network.stage_parameters(0).values())


def test_every_block_of_a_transformer_is_a_stage() -> None:
    vit = create_network("clas/DeiT_tiny_patch16_224")
    assert vit.stage_names == ("patch_embed", *(f"blocks.{i}" for i in range(12)), "norm")
    swin = create_network("clas/SwinTransformer_tiny_patch4_window7_224").stage_names
    assert swin[:5] == ("patch_embed", "layers.0.blocks.0", "layers.0.blocks.1", "layers.0.downsample", swin[4])
    assert len(swin) == 1 + 12 + 3 + 1


# What all need


@pytest.mark.parametrize("name", ["clas/PPLCNet_x0_25", "clas/EfficientNetB0", *TOKENS])
def test_export_is_the_network(name: str, tmp_path: object) -> None:
    network = create_network(name, num_classes=3)
    network.eval()
    size = network.spec.min_size
    spec = paddle.static.InputSpec([None, 3, size, size], name="x")
    paddle.jit.save(network, f"{tmp_path}/model", input_spec=[spec])
    exported = paddle.jit.load(f"{tmp_path}/model")
    for count in (1, 3):
        x = contract.images_for(network.spec, count)
        np.testing.assert_allclose(exported(x).numpy(), network(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["clas/PPLCNet_x0_25", "clas/ResNet18_vd", "clas/EfficientNetB0", *TOKENS])
def test_gray_images(name: str) -> None:
    network = create_network(name, num_classes=3, in_channels=1)
    network.eval()
    size = network.spec.min_size
    assert network(paddle.randn([2, 1, size, size])).shape == [2, 3]


@pytest.mark.parametrize("name", ["clas/DeiT_tiny_distilled_patch16_224", "clas/EfficientNetB0", *TOKENS])
def test_weights_of_the_original_load(name: str, tmp_path: object) -> None:
    original = build_original(get_spec(name))
    path = f"{tmp_path}/original.pdparams"
    paddle.save(original.state_dict(), path)
    assert load_weights(create_network(name), path) == len(original.state_dict())
    network = create_network(name, num_classes=3, pretrained=path)
    assert not [key for key in network.state_dict() if key.startswith("head_dist")]
    first = next(iter(network.stage_parameters(0)))
    np.testing.assert_array_equal(network.state_dict()[first].numpy(), original.state_dict()[first].numpy())


def test_masks_in_older_files_are_ignored(tmp_path: object) -> None:
    """Files of Swin were saved when PaddleClas kept the masks of shifted windows, which it now computes."""
    name = "clas/SwinTransformer_tiny_patch4_window7_224"
    state = dict(create_network(name).state_dict())
    state["layers.0.blocks.1.attn_mask"] = np.zeros([64, 49, 49], "float32")
    path = f"{tmp_path}/old.pdparams"
    write_weights(state, path)
    assert load_weights(create_network(name), path) == len(state) - 1


def test_a_network_can_be_built_twice_and_trained() -> None:
    """PaddleClas gives the parameters of many networks fixed names, which Paddle accepts once."""
    networks = [create_network("clas/ShuffleNetV2_x0_25", num_classes=3) for _ in range(2)]
    names = [[parameter.name for parameter in network.parameters()] for network in networks]
    assert all(len(set(one)) == len(one) for one in names)


def run_quietly(code: str) -> Iterator[str]:
    result = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    yield from (result.stdout, result.stderr)


def test_building_prints_nothing() -> None:
    code = (
        "import toolkit; from toolkit.core.runtime import import_paddle; import_paddle(); import logging, sys;"
        "logging.basicConfig(level=logging.INFO, force=True); from toolkit.zoo import create_network;"
        "create_network('clas/ResNet18_vd'); logging.getLogger('mine').info('still heard')"
    )
    out, err = run_quietly(code)
    assert out == ""
    assert err.splitlines() == ["INFO:mine:still heard"]
