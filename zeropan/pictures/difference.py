"""The picture of what differs between two results of one image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from zeropan.pictures.canvas import Canvas
from zeropan.pictures.labels import Label, labelled
from zeropan.pictures.layers import borders, grey, stroked, washed
from zeropan.pictures.legend import Entry, percent, with_legend
from zeropan.pictures.palette import Colour
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Bool, Panoptic, SegmentInfo, UInt8

GAINED: Colour = (26, 150, 84)
LOST: Colour = (204, 51, 63)
RELABELLED: Colour = (226, 138, 20)
MOVED: Colour = (58, 110, 200)


@dataclass(frozen=True)
class Differences:
    """Which segments differ, and where."""

    lost: Collection[int]
    """Ids of the first's segments that have no partner."""
    gained: Collection[int]
    """Ids of the second's segments that have no partner."""
    relabelled: Collection[int]
    """Ids of the second's segments whose partner has another category."""
    changed: Bool
    """bool (H, W): pixels that differ."""


def difference(
    image: UInt8, first: Panoptic, second: Panoptic, found: Differences, categories: Categories
) -> UInt8:
    """The image in grey, with what the second result gained, lost, relabelled and moved.

    Args:
        image: uint8 (H, W, 3), RGB.
        first: the result before, of the image's size.
        second: the result after, of the image's size.
        found: what differs.
        categories: what both results' ids mean.

    Returns:
        uint8 (h, w, 3), of the overlay's size.
    """
    canvas = Canvas.for_size(*image.shape[:2])
    kinds = np.zeros(first.label_map.shape, dtype=np.int32)
    kinds[found.changed] = 1
    kinds[found.changed & np.isin(second.label_map, list(found.relabelled))] = 2
    kinds[found.changed & np.isin(first.label_map, list(found.lost))] = 3
    kinds[found.changed & np.isin(second.label_map, list(found.gained))] = 4
    labels = canvas.labels(kinds)
    tints = np.array([(0, 0, 0), MOVED, RELABELLED, LOST, GAINED], dtype=np.uint8)[labels]
    wash = np.where(labels == 0, np.float32(0), np.float32(0.6))
    picture = washed(grey(canvas.picture(image), keep=0.1, light=1.1), tints, wash)
    picture = stroked(picture, borders(labels, width=canvas.line), (255, 255, 255), strength=0.7)
    words = [
        *_labels(first, found.lost, "-", LOST, canvas, categories),
        *_labels(second, found.gained, "+", GAINED, canvas, categories),
        *_labels(second, found.relabelled, "now ", RELABELLED, canvas, categories),
    ]
    picture = labelled(picture, words, size=canvas.text_size)
    shares = [float((kinds == kind).mean()) for kind in range(5)]
    entries = [
        Entry(name, (colour,), percent(shares[kind]))
        for kind, name, colour in (
            (4, f"gained: {len(found.gained)}", GAINED),
            (3, f"lost: {len(found.lost)}", LOST),
            (2, f"another category: {len(found.relabelled)}", RELABELLED),
            (1, "outlines moved", MOVED),
        )
        if shares[kind] > 0
    ] or [Entry("the same, pixel for pixel", (), "")]
    return with_legend(picture, entries, size=canvas.text_size)


def _labels(
    panoptic: Panoptic,
    ids: Collection[int],
    sign: str,
    colour: Colour,
    canvas: Canvas,
    categories: Categories,
) -> list[Label]:
    segments: list[SegmentInfo] = [s for s in panoptic.segments_info if s.id in ids]
    return [
        Label(
            f"{sign}{categories.by_id(segment.category_id).name}",
            colour,
            canvas.mask(panoptic.label_map == segment.id),
            f"{sign}category {segment.category_id}",
        )
        for segment in segments
    ]
