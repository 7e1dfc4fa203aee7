"""Step 2: the coarse region of every stuff category, with the things taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import StuffRegionsConfig
from zeropan.segmentation.records import Bool, Float32, Int32, StuffLogits, StuffRegions, ThingMasks


def thresholds_of(categories: Categories, config: StuffRegionsConfig) -> list[float]:
    """The least probability, 0 to 1, of each of `stuff_prompts`: its category's own, or the common.

    Where no category has its own, all are equal.
    """
    return [
        config.background_threshold
        if category.background_threshold is None
        else category.background_threshold
        for category in categories.stuff
        for _ in category.prompts
    ]


def best_stuff(
    stuff: StuffLogits, prompt_category_ids: Sequence[int], thresholds: Sequence[float]
) -> tuple[Int32, Float32]:
    """The best stuff category of every pixel among those that reach their threshold there.

    The planes are resized one at a time, so that memory does not grow with the word list. Equal
    logits go to the prompt that comes first.

    Args:
        stuff: logits of C prompts.
        prompt_category_ids: the category id of each prompt.
        thresholds: the least probability of each prompt, 0 to 1.

    Returns:
        int32 (H, W) category ids, 0 where there is none, and float32 (H, W) probabilities, 0 there.
    """
    ids = np.zeros(stuff.image_size, dtype=np.int32)
    best = np.full(stuff.image_size, -np.inf, dtype=np.float32)
    differ = len(set(thresholds)) > 1
    for plane, category_id, least in zip(
        stuff.logits, prompt_category_ids, thresholds, strict=True
    ):
        logits = resize_bilinear(plane, stuff.image_size)
        better = logits > best
        if differ:
            better &= probability(logits) >= least
        ids[better] = category_id
        np.copyto(best, logits, where=better)
    probabilities = probability(best)
    if thresholds and not differ:
        # One threshold for all: that of the best word decides, and is looked at once.
        ids[probabilities < thresholds[0]] = 0
    probabilities[ids == 0] = 0
    return ids, probabilities


def probability(logits: Float32) -> Float32:
    """Logits to probabilities, float32 of the same shape; -inf to 0."""
    found: Float32 = torch.sigmoid(torch.from_numpy(logits)).numpy()
    return found


def resize_bilinear(plane: Float32, size: tuple[int, int]) -> Float32:
    """Stretch float32 (h, w), whose cells tile the image, to (H, W) pixels."""
    grid = torch.from_numpy(np.array(plane))[None, None]
    resized: Float32 = torch.nn.functional.interpolate(
        grid, size=size, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    return resized


def union_grown(masks: Bool, margin_px: int) -> Bool:
    """The union of masks (N, H, W), grown by a disc of this radius. Returns bool (H, W)."""
    union: Bool = np.asarray(masks.any(axis=0))
    if margin_px == 0 or not union.any():
        return union
    grown: Bool = ndimage.distance_transform_edt(~union) <= margin_px
    return grown


def find_stuff_regions(
    stuff: StuffLogits, things: ThingMasks, categories: Categories, config: StuffRegionsConfig
) -> StuffRegions:
    """Step 2: label every pixel that is no thing with its best stuff category, if good enough.

    Raises:
        RecordError: the logits are of other prompts, or the things of another image size.
    """
    if stuff.prompts != categories.stuff_prompts:
        raise RecordError(
            f"prompts: expected {categories.stuff_prompts}, got {stuff.prompts}; "
            "score the image with the same categories"
        )
    if things.masks.shape[1:] != stuff.image_size:
        raise RecordError(
            f"masks: expected (n, {stuff.image_size[0]}, {stuff.image_size[1]}), "
            f"got {things.masks.shape}; take things and stuff from the same image"
        )
    ids, probabilities = best_stuff(
        stuff, categories.prompt_category_ids[1], thresholds_of(categories, config)
    )
    out = union_grown(things.masks, config.thing_margin_px)
    ids[out] = 0
    probabilities[out] = 0
    return StuffRegions(label_map=ids, scores=probabilities.astype(np.float16))
