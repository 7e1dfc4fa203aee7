"""The detector's losses.

Decoder layers are matched one to one (DETR, Carion et al., 2020). The encoder's dense proposals
are trained one to many, as in FCOS (Tian et al., 2019): each box teaches the locations near its
centre, on the levels that fit its size. Targets of the classification are the IoU of the predicted
box, so that a score ranks boxes by quality (Li et al., 2020, quality focal loss).
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert, generalized_box_iou

from training.detector.data import Batch
from training.detector.model import Predictions

CENTRE = 0.3
"""A location teaches if it lies within this share of the box's size from the box's centre."""
LEVEL_SIZES = ((0.0, 0.24), (0.16, 0.45), (0.36, 2.0))
"""For each level, the longest sides (shares of the image) of the boxes it learns; they overlap."""


def total_loss(predictions: Predictions, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The sum to minimise, and its parts."""
    dense_class, dense_box = _dense(predictions, batch)
    loss = dense_class + dense_box
    parts = {"dense_class": float(dense_class.detach()), "dense_box": float(dense_box.detach())}
    for number, (logits, boxes) in enumerate(predictions.layers):
        layer_class, layer_box = _matched(logits, boxes, batch)
        loss = loss + layer_class + layer_box
        parts[f"layer{number}_class"] = float(layer_class.detach())
        parts[f"layer{number}_box"] = float(layer_box.detach())
    return loss, parts


def quality_focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of |target - p|^2 * BCE; padding tokens have a logit of minus infinity and no weight."""
    known = torch.isfinite(logits)
    logits = torch.where(known, logits, torch.zeros_like(logits))
    gap = (targets - logits.sigmoid()).abs() ** 2
    cross = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (gap.detach() * cross * known).sum()


def box_losses(predicted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """5 L1 + 2 (1 - GIoU), summed, and the detached IoU (n,) of aligned (n, 4) boxes."""
    first = box_convert(predicted, "cxcywh", "xyxy")
    second = box_convert(wanted, "cxcywh", "xyxy")
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = predicted[:, 2:].prod(-1) + wanted[:, 2:].prod(-1) - shared
    iou = shared / union.clamp(min=1e-9)
    hull = (
        torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])
    ).prod(-1)
    giou = iou - (hull - union) / hull.clamp(min=1e-9)
    loss = 5 * (predicted - wanted).abs().sum() + 2 * (1 - giou).sum()
    return loss, iou.detach()


def _matched(logits: Tensor, boxes: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    targets = torch.zeros_like(logits)
    loss_box = logits.new_zeros(())
    count = max(1, sum(len(found) for found in batch.boxes))
    for number, (wanted, tokens) in enumerate(zip(batch.boxes, batch.tokens, strict=True)):
        if not len(wanted):
            continue
        wanted, tokens = wanted.to(logits.device), tokens.to(logits.device)
        queries, which = _assign(logits[number], boxes[number], wanted, tokens)
        loss, iou = box_losses(boxes[number][queries], wanted[which])
        loss_box = loss_box + loss
        targets[number, queries] = tokens[which] * iou.clamp(min=0.05)[:, None]
    per_box = sum(float(t.sum()) for t in batch.tokens) / count
    return quality_focal(logits, targets) / (count * max(1.0, per_box)), loss_box / count


@torch.no_grad()
def _assign(logits: Tensor, boxes: Tensor, wanted: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    finite = torch.where(torch.isfinite(logits), logits, torch.full_like(logits, -20.0))
    score = finite.sigmoid() @ (tokens / tokens.sum(-1, keepdim=True).clamp(min=1)).T
    near = torch.cdist(boxes, wanted, p=1)
    overlap = generalized_box_iou(
        box_convert(boxes, "cxcywh", "xyxy"), box_convert(wanted, "cxcywh", "xyxy")
    )
    cost = (5 * near - 2 * overlap - 3 * score).cpu().numpy()
    rows, columns = linear_sum_assignment(cost)
    return (
        torch.as_tensor(rows, device=logits.device),
        torch.as_tensor(columns, device=logits.device),
    )


def _dense(predictions: Predictions, batch: Batch) -> tuple[Tensor, Tensor]:
    logits, boxes = predictions.dense_logits, predictions.dense_boxes
    targets = torch.zeros_like(logits)
    loss_box, positives, weight = logits.new_zeros(()), 0, 0.0
    sizes = torch.tensor(LEVEL_SIZES, device=logits.device)[predictions.levels]
    for number, (wanted, tokens) in enumerate(zip(batch.boxes, batch.tokens, strict=True)):
        if not len(wanted):
            continue
        wanted, tokens = wanted.to(logits.device), tokens.to(logits.device)
        away = (predictions.centres[:, None] - wanted[None, :, :2]).abs()
        longest = wanted[:, 2:].amax(-1)
        fits = (sizes[:, :1] <= longest) & (longest <= sizes[:, 1:])
        inside = (away <= CENTRE * wanted[None, :, 2:]).all(-1) & fits
        # Where boxes lie on each other the smaller one, on top, is meant.
        area = torch.where(inside, wanted[:, 2:].prod(-1)[None], torch.inf)
        smallest, which = area.min(-1)
        rows = torch.nonzero(torch.isfinite(smallest)).flatten()
        if not len(rows):
            continue
        loss, iou = box_losses(boxes[number][rows], wanted[which[rows]])
        loss_box = loss_box + loss
        positives += len(rows)
        quality = iou.clamp(min=0.1)
        targets[number, rows] = tokens[which[rows]] * quality[:, None]
        weight += float((tokens[which[rows]].sum(-1)).sum())
    return quality_focal(logits, targets) / max(1.0, weight), loss_box / max(1, positives)
