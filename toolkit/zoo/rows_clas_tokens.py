"""PaddleClas's transformers, which compute on tokens [N, L, C]: ViT, DeiT and Swin.

ViT and DeiT use their class token as the features of a new head, at any cut. Swin has none; its tokens are pooled as
the map that they represent.
"""

from __future__ import annotations

from typing import Any

from toolkit.zoo.clas_row import clas_row
from toolkit.zoo.spec import NetworkSpec, Stage, stage

_HALF = (0.5, 0.5, 0.5)
_TO_1K = "_22kto1k"


def _vit(name: str, width: int, size: int, top1: float, tokens: str = "cls_token", **facts: Any) -> NetworkSpec:
    """Position embeddings fix the image size."""
    embedding = ("patch_embed", f":prepend {tokens}", ":add pos_embed", "pos_drop")
    return clas_row(
        name,
        (stage("patch_embed", *embedding), stage("blocks.*"), stage("norm")),
        **{"top": (":class_token", "head"), "features": (":class_token",), **facts},
        width=width,
        top1=top1,
        input_size=size,
        min_size=size,
        max_size=size,
    )


def _vit_half(name: str, width: int, size: int, top1: float) -> NetworkSpec:
    return _vit(f"ViT_{name}", width, size, top1, mean=_HALF, std=_HALF)


def _distilled(name: str, width: int, size: int, top1: float) -> NetworkSpec:
    """Two tokens and two heads; a new head reads only the class token, and drops the other."""
    top = (":mean_of_heads head head_dist",)
    return _vit(f"DeiT_{name}", width, size, top1, "cls_token dist_token", top=top, head="head")


def _swin_groups(depths: int) -> tuple[Stage, ...]:
    groups = []
    for group in range(depths):
        groups.append(stage(f"layers.{group}.blocks.*", f":grid layers.{group}.blocks.*"))
        if group < depths - 1:
            groups.append(stage(f"layers.{group}.downsample", f":half_grid layers.{group}.downsample"))
    return tuple(groups)


def _swin(name: str, width: int, size: int, top1: float, weights: str = "") -> NetworkSpec:
    name = f"SwinTransformer_{name}"
    return clas_row(
        name,
        (stage("patch_embed", ":tokens patch_embed", "pos_drop"), *_swin_groups(4), stage("norm")),
        (":transpose", "avgpool", ":flatten", "head"),
        width,
        top1,
        folder="legendary_models/",
        file=f"{name}{weights}",
        features=(":token_map",),
        input_size=size,
    )


CLAS_TOKENS = (
    _vit_half("small_patch16_224", 768, 224, 0.7553),
    _vit_half("base_patch16_224", 768, 224, 0.8187),
    _vit_half("base_patch16_384", 768, 384, 0.8414),
    _vit_half("base_patch32_384", 768, 384, 0.8176),
    _vit_half("large_patch16_224", 1024, 224, 0.8303),
    _vit_half("large_patch16_384", 1024, 384, 0.8513),
    _vit_half("large_patch32_384", 1024, 384, 0.8153),
    _vit("DeiT_tiny_patch16_224", 192, 224, 0.7208),
    _vit("DeiT_small_patch16_224", 384, 224, 0.7982),
    _vit("DeiT_base_patch16_224", 768, 224, 0.8180),
    _vit("DeiT_base_patch16_384", 768, 384, 0.8289),
    _distilled("tiny_distilled_patch16_224", 192, 224, 0.7449),
    _distilled("small_distilled_patch16_224", 384, 224, 0.8117),
    _distilled("base_distilled_patch16_224", 768, 224, 0.8330),
    _distilled("base_distilled_patch16_384", 768, 384, 0.8520),
    _swin("tiny_patch4_window7_224", 768, 224, 0.8110),
    _swin("small_patch4_window7_224", 768, 224, 0.8321),
    _swin("base_patch4_window7_224", 1024, 224, 0.8337),
    _swin("base_patch4_window12_384", 1024, 384, 0.8417),
    _swin("large_patch4_window7_224", 1536, 224, 0.8619, _TO_1K),
    _swin("large_patch4_window12_384", 1536, 384, 0.8706, _TO_1K),
)
