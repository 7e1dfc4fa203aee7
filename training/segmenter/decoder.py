"""segment-anything's mask decoder for many prompts an image, rearranged to train fast on a CPU.

The package repeats the image embedding for every prompt before anything else. Here what the
prompts share is computed once an image, the projections of one input are one product, and the
transposed convolutions (kernel 2, stride 2) are products in token layout. The weights are the
package's own modules, and the result equals theirs up to rounding.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn
from torch.nn import functional as F


def _heads(x: Tensor, count: int) -> Tensor:
    """(N, L, C) to (N, heads, L, C / heads)."""
    n, length, width = x.shape
    return x.view(n, length, count, width // count).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention of projected q (N, Q, C) over k and v (N or 1 a group, K, C), in fp32 softmax."""
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    groups = q.shape[0] // k.shape[0]
    if groups > 1:
        n, h, length, width = q.shape
        q = q.view(n // groups, groups, h, length, width).transpose(1, 2)
        q = q.reshape(n // groups, h, groups * length, width)
    weights = (q @ k.transpose(-1, -2)) * (1.0 / math.sqrt(q.shape[-1]))
    out = weights.softmax(dim=-1).to(v.dtype) @ v
    if groups > 1:
        out = out.view(n // groups, h, groups, length, width).transpose(1, 2)
        out = out.reshape(n, h, length, width)
    return out.transpose(1, 2).flatten(2)


def _project(x: Tensor, *layers: nn.Linear) -> list[Tensor]:
    """Several linear layers of one input as one product."""
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    widths = [layer.out_features for layer in layers]
    return list(torch.split(F.linear(x, weight, bias), widths, dim=-1))


def _up(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution (kernel 2, stride 2) of (..., C_in) tokens: (..., 4, C_out)."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_channels)
    up = F.linear(x, weight, bias.repeat(4))
    return up.view(*x.shape[:-1], 4, layer.out_channels)


def decode_masks(
    decoder: MaskDecoder, features: Tensor, image_pe: Tensor, sparse: Tensor, no_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits and quality of all mask tokens, P prompts for each of B images.

    Args:
        decoder: the package's module.
        features: (B, C, h, w), the image embeddings.
        image_pe: (1, C, h, w), the prompt encoder's dense position encoding.
        sparse: (B, P, T, C), the prompts' tokens.
        no_mask: (1, C), the embedding that stands for "no mask given".

    Returns:
        Logits (B, P, 4, 4h, 4w) and quality (B, P, 4); mask 0 is the single-mask output.
    """
    images, prompts = sparse.shape[:2]
    h, w = features.shape[-2:]
    transformer = decoder.transformer
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(images, prompts, -1, -1), sparse], dim=2).flatten(0, 1)
    pe = image_pe.flatten(2).transpose(1, 2)
    keys = features.flatten(2).transpose(1, 2) + no_mask
    queries = tokens
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            queries = layer.self_attn(q=queries, k=queries, v=queries)
        else:
            q = queries + tokens
            queries = queries + layer.self_attn(q=q, k=q, v=queries)
        queries = layer.norm1(queries)
        into, back = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        k, v, q_image = _project(keys, into.k_proj, into.v_proj, back.q_proj)
        k = k + F.linear(pe, into.k_proj.weight)
        q_image = q_image + F.linear(pe, back.q_proj.weight)
        attended = _attend(into.q_proj(queries + tokens), k, v, into.num_heads)
        queries = layer.norm2(queries + into.out_proj(attended))
        queries = layer.norm3(queries + layer.mlp(queries))
        if keys.shape[0] != queries.shape[0]:
            keys = keys.repeat_interleave(prompts, dim=0)
            q_image = q_image.repeat_interleave(prompts, dim=0)
        k, v = back.k_proj(queries + tokens), back.v_proj(queries)
        keys = layer.norm4(keys + back.out_proj(_attend(q_image, k, v, back.num_heads)))
    final = transformer.final_attn_token_to_image
    k, v = _project(keys, final.k_proj, final.v_proj)
    k = k + F.linear(pe, final.k_proj.weight)
    attended = _attend(final.q_proj(queries + tokens), k, v, final.num_heads)
    queries = transformer.norm_final_attn(queries + final.out_proj(attended))

    masks = decoder.num_mask_tokens
    hyper = torch.stack(
        [decoder.output_hypernetworks_mlps[i](queries[:, 1 + i]) for i in range(masks)], dim=1
    )
    first, norm, act, second, act2 = decoder.output_upscaling
    up = _up(keys, first)
    up = act(F.layer_norm(up, up.shape[-1:], norm.weight, norm.bias, norm.eps).to(up.dtype))
    up = act2(_up(up, second))
    logits = up.flatten(1, 3) @ hyper.transpose(1, 2).to(up.dtype)
    # (n, h, w, two rows, two columns, two rows, two columns, mask) to (n, mask, 4h, 4w)
    logits = logits.view(-1, h, w, 2, 2, 2, 2, masks).permute(0, 7, 1, 3, 5, 2, 4, 6)
    logits = logits.reshape(images, prompts, masks, 4 * h, 4 * w)
    quality = decoder.iou_prediction_head(queries[:, 0])
    return logits, quality.view(images, prompts, masks)
