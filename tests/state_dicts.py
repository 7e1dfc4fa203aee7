"""State dicts of one package's models, renamed for another's implementation of the same model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

_OUTER: Sequence[tuple[str, str]] = (
    (r"^backbone\.0\.patch_embed\.proj", "SWIN.embeddings.patch_embeddings.projection"),
    (r"^backbone\.0\.patch_embed\.norm", "SWIN.embeddings.norm"),
    (r"^backbone\.0\.layers\.(\d+)\.", r"SWIN.encoder.layers.\1."),
    (r"^backbone\.0\.norm1", "NORMS.stage2"),
    (r"^backbone\.0\.norm2", "NORMS.stage3"),
    (r"^backbone\.0\.norm3", "NORMS.stage4"),
    (r"\.attn\.(relative_position_bias)_table", r".attention.\1.\1_table"),
    (r"(SWIN\S+)\.attn\.proj", r"\1.attention.o_proj"),
    (r"(SWIN\S+)\.norm1", r"\1.layernorm_before"),
    (r"(SWIN\S+blocks\S+)\.norm2", r"\1.layernorm_after"),
    (r"^SWIN", "model.backbone.conv_encoder.model.swin"),
    (r"^NORMS", "model.backbone.conv_encoder.model.hidden_states_norms"),
    (r"^input_proj", "model.input_proj_vision"),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map", "model.text_projection"),
    (r"^transformer\.tgt_embed", "model.query_position_embeddings"),
    (r"^transformer\.enc_out_bbox_embed", "model.encoder_output_bbox_embed"),
    (r"^transformer\.decoder\.ref_point_head", "model.decoder.reference_points_head"),
    (r"^transformer\.decoder\.norm", "model.decoder.layer_norm"),
    (r"^transformer\.encoder\.layers\.(\d+)", r"model.encoder.layers.\1.deformable_layer"),
    (r"^transformer\.encoder\.text_layers\.(\d+)", r"model.encoder.layers.\1.text_enhancer_layer"),
    (r"^transformer\.encoder\.fusion_layers\.(\d+)", r"model.encoder.layers.\1.fusion_layer"),
    (r"^transformer\.", "model."),
)
_INNER: Sequence[tuple[str, str]] = (
    (r"(deformable_layer)\.norm1", r"\1.self_attn_layer_norm"),
    (r"(deformable_layer)\.norm2", r"\1.final_layer_norm"),
    (r"(text_enhancer_layer)\.norm1", r"\1.layer_norm_before"),
    (r"(text_enhancer_layer)\.norm2", r"\1.layer_norm_after"),
    (r"(fusion_layer)\.gamma_v", r"\1.vision_param"),
    (r"(fusion_layer)\.gamma_l", r"\1.text_param"),
    (r"(fusion_layer\.layer_norm)_v", r"\1_vision"),
    (r"(fusion_layer\.layer_norm)_l", r"\1_text"),
    (r"(fusion_layer\.attn)\.(values_|out_|)v_proj", r"\1.\2vision_proj"),
    (r"(fusion_layer\.attn)\.(values_|out_|)l_proj", r"\1.\2text_proj"),
    (r"(decoder\.layers\.\d+)\.cross_attn", r"\1.encoder_attn"),
    (r"(decoder\.layers\.\d+)\.ca_text", r"\1.encoder_attn_text"),
    (r"(decoder\.layers\.\d+)\.catext_norm", r"\1.encoder_attn_text_layer_norm"),
    (r"(decoder\.layers\.\d+)\.norm1", r"\1.encoder_attn_layer_norm"),
    (r"(decoder\.layers\.\d+)\.norm2", r"\1.self_attn_layer_norm"),
    (r"(decoder\.layers\.\d+)\.norm3", r"\1.final_layer_norm"),
    (r"((?:enhancer|deformable)_layer|decoder\.layers\.\d+)\.linear(\d)", r"\1.fc\2"),
)


def grounding_dino_for_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """groundingdino-py's state dict with the names of transformers' Grounding DINO."""
    renamed: dict[str, Tensor] = {}
    for old, value in state.items():
        if "relative_position_index" in old or old.startswith("bert.pooler"):
            continue
        name = old
        for pattern, replacement in (*_OUTER, *_INNER):
            name = re.sub(pattern, replacement, name)
        if swin := re.fullmatch(r"(model\.backbone.+)\.attn\.qkv\.(weight|bias)", name):
            for part, third in zip("qkv", value.chunk(3), strict=True):
                renamed[f"{swin[1]}.attention.{part}_proj.{swin[2]}"] = third
        elif joint := re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name):
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"{joint[1]}.{part}.{joint[2]}"] = third
        else:
            renamed[name] = value
    return renamed


def disturb(model: nn.Module, *, seed: int) -> None:
    """Move every parameter a little, so that none is at a value that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * 0.02)


_SAM: Sequence[tuple[str, str]] = (
    (r"^image_encoder\.patch_embed\.proj", "vision_encoder.patch_embed.projection"),
    (r"^image_encoder\.blocks\.(\d+)\.norm(\d)", r"vision_encoder.layers.\1.layer_norm\2"),
    (r"^image_encoder\.blocks", "vision_encoder.layers"),
    (r"^image_encoder\.neck\.0", "vision_encoder.neck.conv1"),
    (r"^image_encoder\.neck\.1", "vision_encoder.neck.layer_norm1"),
    (r"^image_encoder\.neck\.2", "vision_encoder.neck.conv2"),
    (r"^image_encoder\.neck\.3", "vision_encoder.neck.layer_norm2"),
    (r"^image_encoder", "vision_encoder"),
    (r"^prompt_encoder\.point_embeddings", "prompt_encoder.point_embed"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"(\.mlp)\.lin(\d)", r"\1.lin\2"),
    (r"(mask_decoder\.transformer\.layers\.\d+)\.norm(\d)", r"\1.layer_norm\2"),
    (r"\.norm_final_attn", ".layer_norm_final_attn"),
    (r"output_upscaling\.0", "upscale_conv1"),
    (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.0", r"\1.proj_in"),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.1", r"\1.layers.0"),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.2", r"\1.proj_out"),
)


def sam_for_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """segment-anything's state dict with the names of transformers' SAM."""
    renamed: dict[str, Tensor] = {}
    for old, value in state.items():
        name = old
        for pattern, replacement in _SAM:
            name = re.sub(pattern, replacement, name)
        if "positional_encoding_gaussian_matrix" in old:
            renamed["shared_image_embedding.positional_embedding"] = value
            renamed["prompt_encoder.shared_embedding.positional_embedding"] = value
        else:
            renamed[name] = value
    return renamed
