"""What changed between two results for the same image; no ground truth is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zeropan.evaluation.overlap import overlaps
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Bool, Panoptic, SegmentInfo


@dataclass(frozen=True)
class SegmentPair:
    """Two segments that cover mostly the same pixels."""

    first: SegmentInfo
    second: SegmentInfo
    iou: float
    """Intersection over union, above 0.5 and at most 1."""

    @property
    def relabelled(self) -> bool:
        """Whether the two have different categories."""
        return self.first.category_id != self.second.category_id


@dataclass(frozen=True)
class Comparison:
    """How a second result differs from a first one."""

    pairs: tuple[SegmentPair, ...]
    """Segments found in both, by the first's id."""
    lost: tuple[SegmentInfo, ...]
    """The first's segments that have no partner, by id."""
    gained: tuple[SegmentInfo, ...]
    """The second's segments that have no partner, by id."""
    changed_share: float
    """Share of the image, 0 to 1, whose pixels are not in a pair of one category, and not
    unlabelled in both."""


def compare(first: Panoptic, second: Panoptic) -> Comparison:
    """Pair the segments of two results whose IoU is above 0.5, whatever their ids.

    Segments of one result do not overlap, so no segment can have two partners. Both results must
    number their categories alike.

    Raises:
        RecordError: the two label maps differ in size.
    """
    shared = overlaps(first.label_map, second.label_map)
    firsts = {segment.id: segment for segment in first.segments_info}
    seconds = {segment.id: segment for segment in second.segments_info}
    pairs = []
    unchanged = shared.get((0, 0), 0)
    for (first_id, second_id), pixels in shared.items():
        if first_id == 0 or second_id == 0:
            continue
        one, other = firsts[first_id], seconds[second_id]
        iou = pixels / (one.area + other.area - pixels)
        if iou > 0.5:
            pair = SegmentPair(one, other, iou)
            pairs.append(pair)
            unchanged += 0 if pair.relabelled else pixels
    partnered = {pair.first.id for pair in pairs}, {pair.second.id for pair in pairs}
    return Comparison(
        pairs=tuple(sorted(pairs, key=lambda pair: pair.first.id)),
        lost=tuple(s for s in first.segments_info if s.id not in partnered[0]),
        gained=tuple(s for s in second.segments_info if s.id not in partnered[1]),
        changed_share=1 - unchanged / max(np.size(first.label_map), 1),
    )


def changed_pixels(first: Panoptic, second: Panoptic, comparison: Comparison) -> Bool:
    """Where the two results differ, bool (H, W): the pixels that `changed_share` counts."""
    same = (first.label_map == 0) & (second.label_map == 0)
    for pair in comparison.pairs:
        if not pair.relabelled:
            same |= (first.label_map == pair.first.id) & (second.label_map == pair.second.id)
    changed: Bool = ~same
    return changed


def renumbered(panoptic: Panoptic, before: Categories, after: Categories) -> Panoptic:
    """The same result with another list's ids for the same names.

    Args:
        panoptic: a result.
        before: the categories whose ids it has.
        after: those whose ids it gets.

    Raises:
        KeyError: a name of a segment is not among `after`.
    """
    numbers = {category.name: i for i, category in enumerate(after.ordered, start=1)}
    return Panoptic(
        panoptic.label_map,
        tuple(
            replace(segment, category_id=numbers[before.by_id(segment.category_id).name])
            for segment in panoptic.segments_info
        ),
    )
