"""The tiny Grounding DINO: its sizes, its vocabulary, its first weights, its training pass."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zeropan.models.grounding_dino.build import (
    CaptionTokenizer,
    build_grounding_dino,
    package,
    separator_ids,
)
from zeropan.scenes.vocabulary import COLOURS, STUFF, THINGS

VOCABULARY_SIZE = 1030
"""Just enough rows to keep the separators' published ids: 101, 102, 1012 and 1029."""

CONFIG: dict[str, Any] = {
    "architecture": "groundingdino-py, swin 32, hidden 128",
    "short_side": 192,
    "long_side": 320,
    "max_text_tokens": 256,
    "bert": {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 256,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "swin": {
        "pretrain_img_size": 192,
        "embed_dim": 32,
        "depths": [2, 2, 4, 2],
        "num_heads": [1, 2, 4, 8],
        "window_size": 6,
        "drop_path_rate": 0.0,
        "out_indices": [1, 2, 3],
    },
    "transformer": {
        "d_model": 128,
        "nhead": 4,
        "num_queries": 50,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dim_feedforward": 256,
        "dropout": 0.0,
        "num_feature_levels": 3,
        "enc_n_points": 4,
        "dec_n_points": 4,
        "embed_init_tgt": False,
        "use_text_enhancer": False,
        "text_dropout": 0.0,
        "fusion_dropout": 0.0,
        "fusion_droppath": 0.0,
    },
}


def vocabulary() -> list[str]:
    """The tokens by id: separators at their published ids, our words, and every ASCII letter."""
    tokens = [f"[unused{number}]" for number in range(VOCABULARY_SIZE)]
    tokens[0], tokens[100], tokens[101], tokens[102] = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
    tokens[103], tokens[1012], tokens[1029] = "[MASK]", ".", "?"
    words = sorted({word for name in (*THINGS, *STUFF, *COLOURS) for word in name.split()})
    signs = string.ascii_lowercase + string.digits
    pieces = [*words, *signs, *(f"##{sign}" for sign in signs), *"-,'&/"]
    for number, piece in enumerate(pieces, start=200):
        tokens[number] = piece
    return tokens


def write_vocabulary(folder: Path) -> Path:
    """Write vocab.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
    return path


def new_model(tokenizer: CaptionTokenizer) -> Any:
    """A model with first weights from which training gets going.

    There is no bias in the product of image and text features, so opposite biases in the two
    make every score start near sigmoid(-4); a detector sees far more background than objects.
    """
    model: Any = build_grounding_dino(CONFIG, tokenizer)
    transformer = model.transformer
    for layer in transformer.encoder.fusion_layers:
        nn.init.constant_(layer.gamma_v, 0.2)
        nn.init.constant_(layer.gamma_l, 0.2)
    width = transformer.d_model
    share = (4.0 / width) ** 0.5
    # The last fusion layer normalises the text once more, so its scale and bias are what counts.
    last = transformer.encoder.fusion_layers[-1].layer_norm_l
    nn.init.constant_(last.weight, 0.15)
    nn.init.constant_(last.bias, -share)
    for norm in (transformer.enc_output_norm, transformer.decoder.norm):
        nn.init.constant_(norm.bias, share)
    return model


@dataclass
class Predictions:
    """Everything that is trained, for a batch of B images."""

    dense_logits: Tensor
    """float (B, T, L): a logit for each location and caption token."""
    dense_boxes: Tensor
    """float (B, T, 4): centre and size as shares of the image."""
    centres: Tensor
    """float (T, 2): x and y of each location, as shares of the image."""
    levels: Tensor
    """int64 (T,): feature level of each location, 0 the finest."""
    layers: list[tuple[Tensor, Tensor]]
    """For each decoder layer: logits (B, Q, L) and boxes (B, Q, 4)."""


def training_pass(
    model: Any, tokenizer: CaptionTokenizer, images: Tensor, captions: list[str]
) -> Predictions:
    """Run the model's parts so that the intermediate outputs can be trained too.

    Args:
        model: from `new_model`.
        tokenizer: the captions' tokenizer.
        images: float (B, 3, S, S), normalised.
        captions: B captions.
    """
    dino = package("models.GroundingDINO.bertwarper")
    utilities = package("models.GroundingDINO.utils")
    misc = package("util.misc")
    device = images.device
    tokens = tokenizer(captions).to(device)
    allowed, position_ids, _ = dino.generate_masks_with_special_tokens_and_transfer_map(
        tokens, separator_ids(tokenizer), tokenizer
    )
    encoded = model.bert(
        input_ids=tokens["input_ids"],
        token_type_ids=tokens["token_type_ids"],
        attention_mask=allowed,
        position_ids=position_ids,
    )["last_hidden_state"]
    text = {
        "encoded_text": model.feat_map(encoded),
        "text_token_mask": tokens["attention_mask"].bool(),
    }
    mask = torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.bool, device=device)
    features, positions = model.backbone(misc.NestedTensor(images, mask))
    sources = [model.input_proj[i](f.tensors) for i, f in enumerate(features)]
    transformer = model.transformer
    shapes = [tuple(source.shape[-2:]) for source in sources]
    flat = torch.cat([source.flatten(2).transpose(1, 2) for source in sources], 1)
    place = torch.cat(
        [
            p.flatten(2).transpose(1, 2) + transformer.level_embed[i]
            for i, p in enumerate(positions)
        ],
        1,
    )
    spatial = torch.as_tensor(shapes, dtype=torch.long, device=device)
    starts = torch.cat((spatial.new_zeros(1), spatial.prod(1).cumsum(0)[:-1]))
    ratios = torch.ones(images.shape[0], len(shapes), 2, device=device)
    unpadded = torch.zeros(flat.shape[:2], dtype=torch.bool, device=device)
    memory, memory_text = transformer.encoder(
        flat,
        pos=place,
        level_start_index=starts,
        spatial_shapes=spatial,
        valid_ratios=ratios,
        key_padding_mask=unpadded,
        memory_text=text["encoded_text"],
        text_attention_mask=~text["text_token_mask"],
        position_ids=position_ids,
        text_self_attention_masks=allowed,
    )
    text["encoded_text"] = memory_text
    output, proposals = utilities.gen_encoder_output_proposals(memory, unpadded, spatial)
    output = transformer.enc_output_norm(transformer.enc_output(output))
    length = memory_text.shape[1]
    dense_logits = transformer.enc_out_class_embed(output, text)[..., :length]
    dense_unsigmoid = transformer.enc_out_bbox_embed(output).float() + proposals
    best = dense_logits.max(-1).values.topk(transformer.num_queries, dim=1).indices
    references = torch.gather(dense_unsigmoid, 1, best[..., None].expand(-1, -1, 4)).detach()
    targets = torch.gather(output, 1, best[..., None].expand(-1, -1, output.shape[-1])).detach()
    hidden, points = transformer.decoder(
        tgt=targets.transpose(0, 1),
        memory=memory.transpose(0, 1),
        memory_key_padding_mask=unpadded,
        pos=place.transpose(0, 1),
        refpoints_unsigmoid=references.transpose(0, 1),
        level_start_index=starts,
        spatial_shapes=spatial,
        valid_ratios=ratios,
        memory_text=memory_text,
        text_attention_mask=~text["text_token_mask"],
    )
    inverse = misc.inverse_sigmoid
    layers = []
    for number, state in enumerate(hidden):
        boxes = (model.bbox_embed[number](state).float() + inverse(points[number])).sigmoid()
        layers.append((model.class_embed[number](state, text)[..., :length].float(), boxes))
    centres, levels = _grid(shapes, device)
    return Predictions(dense_logits.float(), dense_unsigmoid.sigmoid(), centres, levels, layers)


def _grid(shapes: list[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    centres, levels = [], []
    for level, (height, width) in enumerate(shapes):
        y, x = torch.meshgrid(
            (torch.arange(height, device=device) + 0.5) / height,
            (torch.arange(width, device=device) + 0.5) / width,
            indexing="ij",
        )
        centres.append(torch.stack([x.flatten(), y.flatten()], -1))
        levels.append(torch.full((height * width,), level, device=device))
    return torch.cat(centres), torch.cat(levels)
