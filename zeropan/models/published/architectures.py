"""The published architectures as the config.json that the adapters read.

Sources: groundingdino-py's GroundingDINO_SwinT_OGC.py and GroundingDINO_SwinB_cfg.py, and BERT base
uncased's config.json. What only matters in training (dropout, checkpointing) is off.
"""

from __future__ import annotations

from typing import Any, Literal

SwinSize = Literal["swin_t", "swin_b"]

_BERT_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_SWIN: dict[SwinSize, dict[str, Any]] = {
    "swin_t": {
        "pretrain_img_size": 224,
        "embed_dim": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
    },
    "swin_b": {
        "pretrain_img_size": 384,
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
    },
}


def grounding_dino_config(size: SwinSize) -> dict[str, Any]:
    """config.json of the published Grounding DINO with this backbone."""
    return {
        "architecture": f"groundingdino-py, {size}, hidden 256",
        "short_side": 800,
        "long_side": 1333,
        "max_text_tokens": 256,
        "bert": dict(_BERT_BASE),
        "swin": {**_SWIN[size], "drop_path_rate": 0.0, "out_indices": [1, 2, 3]},
        "transformer": {
            "d_model": 256,
            "nhead": 8,
            "num_queries": 900,
            "num_encoder_layers": 6,
            "num_decoder_layers": 6,
            "dim_feedforward": 2048,
            "dropout": 0.0,
            "num_feature_levels": 4,
            "enc_n_points": 4,
            "dec_n_points": 4,
            "embed_init_tgt": True,
            "use_text_enhancer": True,
            "text_dropout": 0.0,
            "fusion_dropout": 0.0,
            "fusion_droppath": 0.0,
        },
    }


def sam_config(variant: str) -> dict[str, Any]:
    """config.json of a published SAM: vit_b, vit_l or vit_h."""
    return {"architecture": f"segment-anything {variant}", "variant": variant}
