"""A rendered picture together with its exact panoptic ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SceneSegment:
    """One segment: an instance of a thing, or all of one kind of stuff.

    ``area`` counts visible pixels; ``bbox_xyxy`` is half-open and encloses exactly those.
    """

    id: int
    name: str
    colour: str | None
    phrase: str
    isthing: bool
    area: int
    bbox_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """An image uint8 (H, W, 3) and its label map int32 (H, W), in which every pixel is > 0."""

    seed: int
    image: NDArray[np.uint8]
    label_map: NDArray[np.int32]
    segments: tuple[SceneSegment, ...]

    def mask(self, segment_id: int) -> NDArray[np.bool_]:
        """Visible pixels of one segment, bool (H, W)."""
        result: NDArray[np.bool_] = self.label_map == segment_id
        return result

    def masks(self) -> NDArray[np.bool_]:
        """Visible pixels of all segments in the order of ``segments``, bool (N, H, W)."""
        ids = np.array([segment.id for segment in self.segments], dtype=np.int32)
        result: NDArray[np.bool_] = self.label_map[None] == ids[:, None, None]
        return result


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Half-open (x0, y0, x1, y1) around the set pixels of a mask (H, W) that has some."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if columns.size == 0:
        raise ValueError("an empty mask has no bounding box")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
