"""Connected parts of masks, their depth, and the clean-up of their crumbs and holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zeropan.segmentation.records import Bool, Float32

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Part:
    """One 8-connected part of a mask, cut out at its tight box."""

    mask: Bool
    """bool (h, w): the part inside its box."""
    top: int
    """Row of the box's first row in the whole mask."""
    left: int
    """Column of the box's first column in the whole mask."""
    area: int
    """Pixels."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the part lies in the whole mask: rows, columns."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def connected_parts(mask: Bool, min_area: float) -> Iterator[Part]:
    """The 8-connected parts of a mask (H, W) that have at least `min_area` pixels.

    Largest first; of equal ones the one whose first pixel in row-major order comes first.
    """
    labels, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    if count == 0:
        return
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(labels)
    for label in sorted(range(1, count + 1), key=lambda label: (-areas[label], label)):
        if areas[label] < min_area:
            return
        rows, columns = boxes[label - 1]
        yield Part(labels[rows, columns] == label, rows.start, columns.start, int(areas[label]))


def depth_inside(mask: Bool) -> Float32:
    """Distance in pixels of every pixel of a mask (h, w) to the nearest pixel outside it.

    What lies beyond the array counts as outside. float32 (h, w), 0 outside the mask.
    """
    padded = np.pad(mask, 1)
    depth: Float32 = ndimage.distance_transform_edt(padded)[1:-1, 1:-1].astype(np.float32)
    return depth


def fill_holes(mask: Bool, max_area: float) -> Bool:
    """Fill the holes of a mask (h, w) that have at most `max_area` pixels.

    A hole is a 4-connected part of the outside that does not touch the array's border.
    """
    return mask | _small_parts(np.pad(~mask, 1, constant_values=True), max_area)[1:-1, 1:-1]


def drop_crumbs(mask: Bool, max_area: float) -> Bool:
    """Remove the 8-connected parts of a mask (h, w) of at most `max_area` pixels.

    The largest part always stays.
    """
    return mask & ~_small_parts(mask, max_area, EIGHT_NEIGHBOURS)


def _small_parts(mask: Bool, max_area: float, structure: NDArray[np.bool_] | None = None) -> Bool:
    """The connected parts of at most `max_area` pixels, but for the largest."""
    if max_area < 1:
        return np.zeros_like(mask)
    labels, count = ndimage.label(mask, structure=structure)
    if count < 2:
        return np.zeros_like(mask)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    small = areas <= max_area
    small[0] = False
    small[1 + int(np.argmax(areas[1:]))] = False
    parts: Bool = small[labels]
    return parts
