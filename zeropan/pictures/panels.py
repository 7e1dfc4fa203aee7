"""The pictures of a run: pure functions from records to uint8 arrays; MLflow is not involved."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zeropan.pictures.heatmaps import heat_maps
from zeropan.pictures.overlay import overlay
from zeropan.pictures.rows import side_by_side
from zeropan.pictures.steps import (
    StepRecords,
    draw_boxes,
    draw_input,
    draw_points,
    draw_regions,
    draw_stuff_masks,
    draw_thing_masks,
)
from zeropan.segmentation.records import UInt8

__all__ = ["PANELS", "StepRecords", "overlay", "panels", "side_by_side"]

_DRAWERS: dict[str, Callable[[StepRecords], UInt8]] = {
    "panels/00 input": draw_input,
    "panels/01 boxes": draw_boxes,
    "panels/02 thing masks": draw_thing_masks,
    "panels/03 heat maps": lambda steps: heat_maps(steps.image, steps.stuff_logits),
    "panels/04 stuff regions": draw_regions,
    "panels/05 points": draw_points,
    "panels/06 stuff masks": draw_stuff_masks,
    "panels/07 overlay": lambda steps: overlay(steps.image, steps.panoptic, steps.categories),
}
PANELS = tuple(_DRAWERS)
"""The keys of `panels`, in order: the rows of the image grid."""


def panels(steps: StepRecords, keys: Iterable[str] = PANELS) -> dict[str, UInt8]:
    """One picture a step, under keys of `PANELS`: uint8 (h, w, 3) each."""
    return {key: _DRAWERS[key](steps) for key in keys}
