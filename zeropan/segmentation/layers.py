"""Which thing, and which stuff category, owns a pixel that several masks claim."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PanopticConfig
from zeropan.segmentation.records import Bool, Int32, StuffMasks, StuffRegions, ThingMasks
from zeropan.segmentation.regions import drop_crumbs, fill_holes


def canonical_order(things: ThingMasks) -> list[int]:
    """Indices of the things, best score first.

    Equal scores are told apart by area (larger first), box and category, never by the order in
    which the detector found them.
    """

    def key(index: int) -> tuple[float, ...]:
        return (
            -float(things.scores[index]),
            -int(np.count_nonzero(things.masks[index])),
            *things.boxes_xyxy[index].tolist(),
            int(things.category_ids[index]),
            -float(things.mask_quality[index]),
        )

    return sorted(range(len(things.scores)), key=key)


def clean_mask(mask: Bool, config: PanopticConfig) -> tuple[Bool, tuple[slice, slice]]:
    """A thing's mask (H, W) without crumbs and small holes, cut out at its tight box.

    Returns:
        bool (h, w) and the rows and columns where it lies; (0, 0) for an empty mask.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if len(rows) == 0:
        return np.zeros((0, 0), dtype=np.bool_), (slice(0, 0), slice(0, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = drop_crumbs(mask[window], config.max_crumb_area * mask.size)
    return fill_holes(cut, config.max_hole_area * mask.size), window


def own_things(
    things: ThingMasks, order: list[int], categories: Categories, config: PanopticConfig
) -> Int32:
    """Give every pixel that things claim to one of them.

    With overlap "score" the first in `order` is on top; with "small" the smallest mask that repeats
    no better thing, since what lies on something is smaller than it; with "paint" the last in
    `order`, which is what the proof of concept does: it paints boxes over one another in the
    detector's order, which is about best first. A thing too small or too hidden is dropped before
    it takes a pixel, so what lies below it keeps its own.

    Returns:
        int32 (H, W): the owner's position in `order` plus 1; 0 where there is no thing.
    """
    owner = np.zeros(things.masks.shape[1:], dtype=np.int32)
    from_the_top = list(enumerate(order, start=1))
    if config.overlap == "paint":
        from_the_top.reverse()
    elif config.overlap == "small":
        areas = np.count_nonzero(things.masks, axis=(1, 2))
        repeated = repeated_things(things, order, config.min_visible_share)
        # Sorting is stable, so masks of one size stay in canonical order.
        from_the_top = sorted(
            (item for item in from_the_top if item[1] not in repeated),
            key=lambda item: areas[item[1]],
        )
    for position, index in from_the_top:
        mask, window = clean_mask(things.masks[index], config)
        below = owner[window]
        visible = mask & (below == 0)
        area = int(np.count_nonzero(visible))
        own = categories.by_id(int(things.category_ids[index])).min_area
        least = config.min_thing_area if own is None else own
        too_hidden = area < config.min_visible_share * np.count_nonzero(mask)
        if area == 0 or too_hidden or area < least * owner.size:
            continue
        below[visible] = position
    return owner


def repeated_things(things: ThingMasks, order: list[int], min_visible_share: float) -> set[int]:
    """Indices of the things that repeat better ones of their own category.

    Those are things of whose mask less than `min_visible_share`, 0 to 1, lies beside the masks of
    the better things of the same category: parts of an object, or several objects in one box.
    """
    repeated: set[int] = set()
    covered: dict[int, Bool] = {}
    for index in order:
        mask = things.masks[index]
        seen = covered.setdefault(int(things.category_ids[index]), np.zeros_like(mask))
        if np.count_nonzero(mask & ~seen) < min_visible_share * np.count_nonzero(mask):
            repeated.add(index)
        else:
            seen |= mask
    return repeated


def own_stuff(
    free: Bool,
    regions: StuffRegions,
    stuff: StuffMasks,
    config: PanopticConfig,
    *,
    without: Collection[int] = (),
) -> Int32:
    """Give every free pixel that stuff claims to one category.

    Of several masks the one whose category is also the coarse region's wins, then the one with
    the higher score, then the lower category id. Pixels that no mask claims go to the coarse
    region, if the config says so for its category.

    Args:
        free: bool (H, W): pixels that no thing owns.
        regions: the coarse regions.
        stuff: the refined masks.
        config: whether regions fill the gaps.
        without: category ids that get nothing.

    Returns:
        int32 (H, W): category id, 0 where there is no stuff.
    """
    coarse = regions.label_map
    owner = np.zeros(coarse.shape, dtype=np.int32)
    ids, scores = stuff.category_ids.tolist(), stuff.scores.tolist()
    if config.fill != "none":
        fillers = set(ids) if config.fill == "confirmed" else set(np.unique(coarse).tolist())
        take = free & np.isin(coarse, list(fillers - set(without)))
        owner[take] = coarse[take]
    worst_first = sorted(range(len(ids)), key=lambda index: (scores[index], -ids[index]))
    asked = [index for index in worst_first if ids[index] not in without]
    for index in asked:
        owner[stuff.masks[index] & free] = ids[index]
    for index in asked:
        owner[stuff.masks[index] & free & (coarse == ids[index])] = ids[index]
    return owner
