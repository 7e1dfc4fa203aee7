"""Builds segment-anything's `Sam` from numbers: the published variants and smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

PUBLISHED_VARIANTS = ("vit_b", "vit_l", "vit_h")


@dataclass(frozen=True)
class SamArchitecture:
    """The numbers that fix a `Sam`; names and meanings follow the package's constructors."""

    image_size: int
    """Side of the square the encoder sees, pixels; a multiple of `patch_size`."""
    patch_size: int
    encoder_dim: int
    encoder_depth: int
    encoder_heads: int
    encoder_mlp_ratio: float
    encoder_global_blocks: tuple[int, ...]
    """Indices of the blocks that attend over the whole grid; the others attend in windows."""
    window_size: int
    use_rel_pos: bool
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int
    decoder_mlp_dim: int
    quality_head_dim: int
    mask_prompt_channels: int = 16

    @classmethod
    def from_mapping(cls, numbers: Mapping[str, Any]) -> SamArchitecture:
        """Read the fields from parsed JSON.

        Raises:
            ValueError: a field is missing, unknown or of the wrong type.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(numbers) - known):
            raise ValueError(f"unknown fields {unknown}")
        values = dict(numbers)
        values["encoder_global_blocks"] = tuple(values.get("encoder_global_blocks", ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error


def build_sam(architecture: SamArchitecture) -> Sam:
    """A `Sam` with random weights, in evaluation mode."""
    grid = architecture.image_size // architecture.patch_size
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=architecture.image_size,
            patch_size=architecture.patch_size,
            embed_dim=architecture.encoder_dim,
            depth=architecture.encoder_depth,
            num_heads=architecture.encoder_heads,
            mlp_ratio=architecture.encoder_mlp_ratio,
            out_chans=architecture.decoder_dim,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=architecture.use_rel_pos,
            window_size=architecture.window_size,
            global_attn_indexes=architecture.encoder_global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=architecture.decoder_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(architecture.image_size, architecture.image_size),
            mask_in_chans=architecture.mask_prompt_channels,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=architecture.decoder_dim,
            transformer=TwoWayTransformer(
                depth=architecture.decoder_depth,
                embedding_dim=architecture.decoder_dim,
                num_heads=architecture.decoder_heads,
                mlp_dim=architecture.decoder_mlp_dim,
            ),
            iou_head_hidden_dim=architecture.quality_head_dim,
        ),
    )
    return sam.eval()


def build_published_sam(variant: str) -> Sam:
    """A published variant, "vit_b", "vit_l" or "vit_h", with random weights.

    Raises:
        ValueError: the package has no such variant.
    """
    if variant not in PUBLISHED_VARIANTS:
        raise ValueError(f"unknown variant {variant!r}, expected one of {PUBLISHED_VARIANTS}")
    return sam_model_registry[variant]()
