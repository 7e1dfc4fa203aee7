"""Step 4: things over stuff, one label for every pixel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PanopticConfig
from zeropan.segmentation.layers import canonical_order, own_stuff, own_things
from zeropan.segmentation.records import (
    Int32,
    Panoptic,
    SegmentInfo,
    StuffMasks,
    StuffRegions,
    ThingMasks,
)
from zeropan.segmentation.stuff_masks import mean_score


def fuse(
    things: ThingMasks,
    regions: StuffRegions,
    stuff: StuffMasks,
    categories: Categories,
    config: PanopticConfig,
) -> Panoptic:
    """Step 4: one segment for each visible thing and for each stuff category.

    Ids are 1 to n: things, best score first, then stuff by category id. The result does not
    depend on the order in which the detector found the things.

    Raises:
        RecordError: things, regions and stuff are of different image sizes.
    """
    size = regions.label_map.shape
    for field, masks in (("things.masks", things.masks), ("stuff.masks", stuff.masks)):
        if masks.shape[1:] != size:
            raise RecordError(
                f"{field}: expected (n, {size[0]}, {size[1]}), got {masks.shape}; "
                "take all records from the same image"
            )
    order = canonical_order(things)
    thing_owner = own_things(things, order, categories, config)
    stuff_owner = _large_enough_stuff(thing_owner == 0, regions, stuff, categories, config)

    instances = _present(thing_owner)
    stuff_ids = _present(stuff_owner)
    label_map = np.zeros(size, dtype=np.int32)
    category_ids: list[int] = []
    scores: list[float] = []
    for position in instances:
        label_map[thing_owner == position] = len(category_ids) + 1
        category_ids.append(int(things.category_ids[order[position - 1]]))
        scores.append(float(things.scores[order[position - 1]]))
    asked = dict(zip(stuff.category_ids.tolist(), stuff.scores.tolist(), strict=True))
    for category_id in stuff_ids:
        label_map[stuff_owner == category_id] = len(category_ids) + 1
        category_ids.append(category_id)
        known = asked.get(category_id)
        scores.append(mean_score(regions, category_id) if known is None else known)
    return Panoptic(
        label_map=label_map,
        segments_info=segment_infos(label_map, category_ids, scores, categories),
    )


def segment_infos(
    label_map: Int32, category_ids: list[int], scores: list[float], categories: Categories
) -> tuple[SegmentInfo, ...]:
    """Area and box of every segment 1 to n of a label map, with its category and score."""
    areas = np.bincount(label_map.ravel(), minlength=len(category_ids) + 1)
    boxes = ndimage.find_objects(label_map, max_label=len(category_ids))
    segments = []
    for index, (category_id, score) in enumerate(zip(category_ids, scores, strict=True)):
        rows, columns = boxes[index]
        segments.append(
            SegmentInfo(
                id=index + 1,
                category_id=category_id,
                isthing=categories.by_id(category_id).isthing,
                area=int(areas[index + 1]),
                bbox_xywh=(
                    columns.start,
                    rows.start,
                    columns.stop - columns.start,
                    rows.stop - rows.start,
                ),
                score=min(max(score, 0.0), 1.0),
            )
        )
    return tuple(segments)


def _large_enough_stuff(
    free: np.ndarray,
    regions: StuffRegions,
    stuff: StuffMasks,
    categories: Categories,
    config: PanopticConfig,
) -> Int32:
    """Stuff's owners once the categories that turn out too small are left out.

    Those that stay can only grow by it, so one more round is enough.
    """
    owner = own_stuff(free, regions, stuff, config)
    areas = np.bincount(owner.ravel())
    small = []
    for category_id in _present(owner):
        own = categories.by_id(category_id).min_area
        least = config.min_stuff_area if own is None else own
        if areas[category_id] < least * owner.size:
            small.append(category_id)
    return own_stuff(free, regions, stuff, config, without=small) if small else owner


def _present(owner: Int32) -> list[int]:
    """The labels of an owner map (H, W) but 0, ascending."""
    return (np.nonzero(np.bincount(owner.ravel())[1:])[0] + 1).tolist()
