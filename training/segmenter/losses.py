"""Losses of the promptable segmenter: masks, mask quality and the auxiliary head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.segmenter.data import Batch


def prompt_weights(boxes: Tensor, point_prompts: int, side: int, grid: int) -> Tensor:
    """Where a mask's pixels count: (B, P, grid, grid), 1 inside a grown box, 0.1 outside.

    Outside its box a mask is trivially empty; those pixels would drown the ones that matter.
    Point prompts count everywhere.
    """
    centres = (torch.arange(grid) + 0.5) * (side / grid)
    margin = 0.12 * (boxes[..., 2:] - boxes[..., :2]) + 2.0
    low, high = boxes[..., :2] - margin, boxes[..., 2:] + margin
    across = (centres > low[..., :1]) & (centres < high[..., :1])
    down = (centres > low[..., 1:]) & (centres < high[..., 1:])
    inside = (down[..., :, None] & across[..., None, :]).float()
    everywhere = torch.ones(boxes.shape[0], point_prompts, grid, grid)
    return torch.cat([0.1 + 0.9 * inside, everywhere], dim=1)


def mask_losses(logits: Tensor, targets: Tensor, weights: Tensor, *, balance: float) -> Tensor:
    """Binary cross-entropy plus dice of each mask.

    Args:
        logits: float32 (..., K, h, w).
        targets: (..., 1, h, w) in [0, 1].
        weights: (..., 1, h, w), how much a pixel counts.
        balance: 1 gives inside and outside the same total weight, 0 leaves every pixel its own.
            Balanced losses keep a young model from answering with empty masks; unbalanced ones
            put the border where it belongs.

    Returns:
        (..., K).
    """
    inside = (weights * targets).sum(dim=(-2, -1), keepdim=True)
    outside = (weights * (1 - targets)).sum(dim=(-2, -1), keepdim=True)
    plain = weights / (inside + outside)
    even = 0.5 * weights * (targets / (inside + 1) + (1 - targets) / (outside + 1))
    pixel = F.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")
    cross = (pixel * (balance * even + (1 - balance) * plain)).sum(dim=(-2, -1))
    probability = logits.sigmoid()
    overlap = (probability * targets).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return cross + 1 - (2 * overlap + 1) / (total + 1)


def hard_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU of the thresholded masks (..., K, h, w) with targets (..., 1, h, w): (..., K)."""
    masks, truth = logits > 0, targets > 0.5
    overlap = (masks & truth).sum(dim=(-2, -1))
    union = (masks | truth).sum(dim=(-2, -1))
    return overlap / union.clamp(min=1)


def auxiliary_loss(prediction: Tensor, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
    """Loss of the dense head (B, classes + 3, h, w), and its pixel accuracy on classes."""
    scores, offsets, border = torch.split(prediction, [classes, 2, 1], dim=1)
    semantic = F.cross_entropy(scores, batch.classes, ignore_index=-100)
    known = torch.isfinite(batch.offsets)
    wanted = torch.where(known, batch.offsets, torch.zeros(()))
    distance = F.smooth_l1_loss(offsets, wanted, reduction="none", beta=0.1)
    offset = (distance * known).sum() / known.sum().clamp(min=1)
    edge = F.binary_cross_entropy_with_logits(border[:, 0], batch.borders)
    labelled = batch.classes >= 0
    hits = ((scores.argmax(dim=1) == batch.classes) & labelled).sum()
    return 0.5 * semantic + offset + edge, hits / labelled.sum().clamp(min=1)
