"""How well a mask's outline follows the true one.

Region overlap hardly notices outlines: moving the edge of a 200-pixel disk by one pixel costs 2%
of IoU. Two measures that look at the outline alone:

- boundary F (Martin, Fowlkes, Malik 2004; Perazzi et al., DAVIS, CVPR 2016): precision and recall
  of contour pixels, matched within a tolerance;
- boundary IoU (Cheng et al., CVPR 2021): the intersection over union of the two masks' inner
  bands, the pixels of a mask that are near its contour.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from zeropan.errors import RecordError
from zeropan.segmentation.records import Bool


def boundary_f(mask: Bool, truth: Bool, *, tolerance_px: float = 2.0) -> float:
    """F1 score of contour pixels, 0 to 1; 1 if both masks are empty, 0 if one is.

    The image's border is no contour: a mask that runs out of the picture has no edge there.

    Args:
        mask: bool (H, W).
        truth: bool (H, W).
        tolerance_px: contour pixels at most this far apart (Euclidean) match.

    Raises:
        RecordError: the shapes differ.
    """
    _expect_alike(mask, truth)
    edge, true_edge = contour(mask), contour(truth)
    if not edge.any() or not true_edge.any():
        return float(edge.any() == true_edge.any() and mask.any() == truth.any())
    precision = _share_near(edge, true_edge, tolerance_px)
    recall = _share_near(true_edge, edge, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_iou(mask: Bool, truth: Bool, *, width: float = 0.02) -> float:
    """IoU of the inner bands along the two contours, 0 to 1; 1 if both masks are empty.

    As in the paper the image's border counts as a contour.

    Args:
        mask: bool (H, W).
        truth: bool (H, W).
        width: of the bands, as a share of the image's diagonal; at least one pixel.

    Raises:
        RecordError: the shapes differ.
    """
    _expect_alike(mask, truth)
    distance = max(1, round(width * math.hypot(*mask.shape)))
    one, other = band(mask, distance), band(truth, distance)
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def contour(mask: Bool) -> Bool:
    """The mask's own pixels that touch a pixel outside of it, inside the image: bool (H, W)."""
    inner = ndimage.binary_erosion(mask, border_value=1)
    edge: Bool = mask & ~inner
    return edge


def band(mask: Bool, distance_px: int) -> Bool:
    """The mask's pixels at most so many steps from its contour or the image's border."""
    square = np.ones((3, 3), dtype=np.bool_)
    inner = ndimage.binary_erosion(mask, square, iterations=distance_px, border_value=0)
    near: Bool = mask & ~inner
    return near


def _share_near(edge: Bool, other: Bool, tolerance_px: float) -> float:
    distance = ndimage.distance_transform_edt(~other)
    return float((distance[edge] <= tolerance_px).mean())


def _expect_alike(mask: Bool, truth: Bool) -> None:
    if mask.shape != truth.shape or mask.ndim != 2:
        raise RecordError(f"mask: expected {truth.shape} bool, got {mask.shape} {mask.dtype.name}")
