"""What a stage's result amounts to, in a few numbers for tables and metrics."""

from __future__ import annotations

import numpy as np

from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    Record,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
)


def key_figures(record: Record) -> dict[str, float]:
    """Counts, and shares of the image between 0 and 1, that say what came out of a stage."""
    match record:
        case ImageEmbedding():
            return {"channels": record.features.shape[0], "cells": record.features[0].size}
        case GroundedBoxes():
            return {"boxes": record.boxes_xyxy.shape[0] * record.boxes_xyxy.shape[1]}
        case StuffLogits():
            return {"words": record.logits.shape[0]}
        case ThingMasks():
            return {"instances": record.masks.shape[0]}
        case StuffRegions():
            found = np.unique(record.label_map)
            return {
                "regions": int((found != 0).sum()),
                "coverage": round(float((record.label_map != 0).mean()), 4),
            }
        case StuffMasks():
            return {"masks": record.masks.shape[0], "points": record.points_xy.shape[0]}
        case Panoptic():
            return {
                "things": sum(segment.isthing for segment in record.segments_info),
                "stuff": sum(not segment.isthing for segment in record.segments_info),
                "coverage": round(float((record.label_map != 0).mean()), 4),
            }
