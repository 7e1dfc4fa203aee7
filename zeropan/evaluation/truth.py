"""Ground truth: a label map whose segments may be crowds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zeropan.errors import RecordError
from zeropan.segmentation.records import Int32, Panoptic


@dataclass(frozen=True)
class TruthSegment:
    """One true segment."""

    id: int
    """The value of the segment's pixels in the label map; at least 1."""
    category_id: int
    iscrowd: bool = False
    """True for a region of many instances that nobody told apart."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One image's true segments."""

    label_map: Int32
    """int32 (H, W): the segment's id; 0 is void, which counts neither for nor against."""
    segments: tuple[TruthSegment, ...]
    """Every id of the label map but 0, each once, in any order."""

    def __post_init__(self) -> None:
        if self.label_map.ndim != 2 or self.label_map.dtype != np.int32:
            raise RecordError(
                "label_map: expected (n, n) int32, "
                f"got {self.label_map.shape} {self.label_map.dtype.name}"
            )
        present = np.unique(self.label_map[self.label_map != 0]).tolist()
        listed = sorted(segment.id for segment in self.segments)
        if listed != present:
            raise RecordError(
                f"segments: expected the label map's ids {present}, got {listed}; "
                "leave out segments without a pixel"
            )

    @classmethod
    def of(cls, panoptic: Panoptic) -> GroundTruth:
        """A result taken for the truth."""
        return cls(
            panoptic.label_map,
            tuple(TruthSegment(info.id, info.category_id) for info in panoptic.segments_info),
        )
