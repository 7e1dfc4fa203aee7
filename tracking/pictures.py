"""The pictures of a run: pure functions from records to uint8 arrays; MLflow is not involved."""

from __future__ import annotations

from segmentation.records import UInt8
from tracking.heatmaps import heat_maps
from tracking.overlay import overlay
from tracking.rows import side_by_side
from tracking.steps import (
    StepRecords,
    draw_boxes,
    draw_input,
    draw_points,
    draw_regions,
    draw_stuff_masks,
    draw_thing_masks,
)

__all__ = ["PANELS", "StepRecords", "overlay", "panels", "side_by_side"]

PANELS = (
    "panels/00 input",
    "panels/01 boxes",
    "panels/02 thing masks",
    "panels/03 heat maps",
    "panels/04 stuff regions",
    "panels/05 points",
    "panels/06 stuff masks",
    "panels/07 overlay",
)
"""The keys of `panels`, in order: the rows of the image grid."""


def panels(steps: StepRecords) -> dict[str, UInt8]:
    """One picture a step, under the keys of `PANELS`: uint8 (h, w, 3) each."""
    pictures = (
        draw_input(steps),
        draw_boxes(steps),
        draw_thing_masks(steps),
        heat_maps(steps.image, steps.stuff_logits),
        draw_regions(steps),
        draw_points(steps),
        draw_stuff_masks(steps),
        overlay(steps.image, steps.panoptic, steps.categories),
    )
    return dict(zip(PANELS, pictures, strict=True))
