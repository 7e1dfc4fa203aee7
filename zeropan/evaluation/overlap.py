"""How many pixels each pair of segments of two label maps shares."""

from __future__ import annotations

import numpy as np

from zeropan.errors import RecordError
from zeropan.segmentation.records import Int32


def overlaps(first: Int32, second: Int32) -> dict[tuple[int, int], int]:
    """Shared pixels of every pair of labels that meet, 0 included.

    Args:
        first: int32 (H, W), at least 0.
        second: int32 (H, W), at least 0.

    Raises:
        RecordError: the two label maps differ in size.
    """
    if first.shape != second.shape:
        raise RecordError(
            f"label_map: expected {first.shape} as in the other, got {second.shape}; "
            "compare results for the same image"
        )
    pairs, counts = np.unique((first.astype(np.int64) << 32) | second, return_counts=True)
    return {
        (pair >> 32, pair & 0xFFFFFFFF): count
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }
