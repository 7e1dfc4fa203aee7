"""Suppression of duplicate boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zeropan.segmentation.records import Float32


def box_areas(boxes_xyxy: Float32) -> NDArray[np.float64]:
    """Areas of boxes (N, 4); 0 for boxes without width or height. Returns float64 (N,)."""
    sides = np.maximum(boxes_xyxy[:, 2:].astype(np.float64) - boxes_xyxy[:, :2], 0)
    areas: NDArray[np.float64] = sides[:, 0] * sides[:, 1]
    return areas


def iou_with_all(box_xyxy: Float32, boxes_xyxy: Float32) -> NDArray[np.float64]:
    """Intersection over union of one box (4,) with boxes (N, 4). Returns float64 (N,)."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = box_areas(np.concatenate([low, high], axis=1))
    union = box_areas(box_xyxy[None])[0] + box_areas(boxes_xyxy) - shared
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def suppress_duplicates(boxes_xyxy: Float32, *, max_iou: float, max_count: int) -> NDArray[np.intp]:
    """Greedy non-maximum suppression over boxes that are already in order, best first.

    Args:
        boxes_xyxy: float32 (N, 4), best first.
        max_iou: a box that overlaps a better kept one by more than this is dropped; 1 keeps all.
        max_count: the search stops after this many kept boxes.

    Returns:
        Indices of the kept boxes, ascending.
    """
    alive = np.ones(len(boxes_xyxy), dtype=np.bool_)
    kept: list[int] = []
    for index in range(len(boxes_xyxy)):
        if len(kept) == max_count:
            break
        if not alive[index]:
            continue
        kept.append(index)
        if max_iou < 1:
            alive[index + 1 :] &= (
                iou_with_all(boxes_xyxy[index], boxes_xyxy[index + 1 :]) <= max_iou
            )
    return np.array(kept, dtype=np.intp)
