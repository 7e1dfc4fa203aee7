"""Points that prompt a segmenter: spread out and deep, or drawn at random."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from zeropan.segmentation.records import Bool, Float16, Float32
from zeropan.segmentation.regions import depth_inside

_MAX_CANDIDATES = 20_000
_MAX_CELLS = 512 * 512


def spread_points(mask: Bool, count: int, *, erosion_px: float) -> Float32:
    """Points inside a mask that are far from its border and from each other; not random.

    Farthest-point sampling (Gonzalez 1985, Eldar et al. 1997), started at the deepest pixel, in
    which a pixel's distance to the chosen ones is weighted by the root of its depth. Pixels less
    deep than `erosion_px` are no candidates; a mask too thin for that is eroded by half its
    greatest depth, so that no mask is left without a point.

    Args:
        mask: bool (h, w); large masks are looked at on every n-th row and column only.
        count: most points; fewer if the mask has fewer pixels.
        erosion_px: pixels.

    Returns:
        float32 (P, 2): x and y of pixel centres, in the mask's frame; P is 0 for an empty mask.
    """
    step = math.ceil(math.sqrt(mask.size / _MAX_CELLS))
    if step > 1 and mask[::step, ::step].any():
        mask = mask[::step, ::step]
    else:
        step = 1
    depth = depth_inside(mask)
    deepest = float(depth.max(initial=0))
    if deepest == 0:
        return np.zeros((0, 2), dtype=np.float32)
    rows, columns = np.nonzero(depth > min(erosion_px / step, deepest / 2))
    thin_out = math.ceil(len(rows) / _MAX_CANDIDATES)
    candidate_depth = depth[rows, columns]
    chosen = [int(np.argmax(candidate_depth))]
    considered = np.union1d(np.arange(0, len(rows), thin_out), chosen)
    rows, columns, candidate_depth = (
        rows[considered],
        columns[considered],
        candidate_depth[considered],
    )
    chosen = [int(np.searchsorted(considered, chosen[0]))]
    weight = np.sqrt(candidate_depth)
    distance = np.full(len(rows), np.inf, dtype=np.float64)
    while len(chosen) < min(count, len(rows)):
        row, column = rows[chosen[-1]], columns[chosen[-1]]
        distance = np.minimum(distance, np.hypot(rows - row, columns - column))
        chosen.append(int(np.argmax(distance * weight)))
    return _centres(rows[chosen] * step, columns[chosen] * step)


def erode_square(mask: Bool, side_px: int) -> Bool:
    """Erode a mask (H, W) by a square kernel; what lies beyond the image counts as outside.

    A side of 0 or 1 changes nothing. Of an even side's two middle pixels the later is the centre,
    as in scipy.
    """
    if side_px <= 1:
        return mask
    # A minimum filter of two passes equals the erosion by a square, at a cost free of its side.
    eroded: Bool = ndimage.minimum_filter(mask, size=side_px, mode="constant", cval=0)
    return eroded


def draw_points(
    mask: Bool, scores: Float32 | Float16, count: int, *, rng: np.random.Generator
) -> Float32:
    """Pixels of a mask drawn at random with replacement, in proportion to their scores.

    Args:
        mask: bool (H, W).
        scores: float (H, W), at least 0; where the mask's scores are all 0, pixels are alike.
        count: number of points; none are drawn from an empty mask.
        rng: the only source of randomness.

    Returns:
        float32 (P, 2): x and y of pixel centres, in the mask's frame.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return np.zeros((0, 2), dtype=np.float32)
    weights = scores[rows, columns].astype(np.float64)
    if weights.sum() <= 0:
        weights = np.ones(len(rows))
    cumulative = np.cumsum(weights)
    drawn = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    drawn = np.minimum(drawn, len(rows) - 1)
    return _centres(rows[drawn], columns[drawn])


def _centres(rows: np.ndarray, columns: np.ndarray) -> Float32:
    return (np.stack([columns, rows], axis=1) + 0.5).astype(np.float32)
