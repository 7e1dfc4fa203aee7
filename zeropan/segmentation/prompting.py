"""The seam between the algorithm and a promptable segmenter such as SAM.

The steps depend on this Protocol alone; models/ holds what fulfils it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zeropan.segmentation.records import Bool, Float32, ImageEmbedding


@dataclass(frozen=True, eq=False)
class MaskPredictions:
    """What a promptable segmenter answers to N prompts, K masks each."""

    masks: Bool
    """bool (N, K, H, W), in the original image's frame."""
    quality: Float32
    """float32 (N, K): the model's own estimate of each mask's IoU."""


class MaskPrompter(Protocol):
    """Turns boxes and points into masks, given an image's stored embedding."""

    def masks_from_boxes(
        self,
        embedding: ImageEmbedding,
        boxes_xyxy: Float32,
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        """Masks of N boxes: float32 (N, 4), pixels of the original image; K is 3 or 1."""
        ...

    def masks_from_points(
        self,
        embedding: ImageEmbedding,
        points_xy: Sequence[Float32],
        labels: Sequence[NDArray[np.int32]],
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        """Masks of N point sets, each float32 (P_i, 2) with int32 (P_i,) labels: 1 in, 0 out."""
        ...
