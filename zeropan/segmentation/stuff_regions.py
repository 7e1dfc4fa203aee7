"""Step 2: the coarse region of every stuff category, with the things taken out."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import StuffRegionsConfig
from zeropan.segmentation.records import Bool, Float32, Int32, StuffLogits, StuffRegions, ThingMasks


def best_stuff(stuff: StuffLogits, prompt_category_ids: tuple[int, ...]) -> tuple[Int32, Float32]:
    """The best stuff category of every pixel, and its logit.

    The planes are resized one at a time, so that memory does not grow with the word list. Equal
    logits go to the prompt that comes first.

    Returns:
        int32 (H, W) category ids, 0 if there are no prompts, and float32 (H, W) logits, -inf then.
    """
    ids = np.zeros(stuff.image_size, dtype=np.int32)
    best = np.full(stuff.image_size, -np.inf, dtype=np.float32)
    for plane, category_id in zip(stuff.logits, prompt_category_ids, strict=True):
        logits = resize_bilinear(plane, stuff.image_size)
        better = logits > best
        ids[better] = category_id
        np.copyto(best, logits, where=better)
    return ids, best


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
    ids, logits = best_stuff(stuff, categories.prompt_category_ids[1])
    probabilities = torch.sigmoid(torch.from_numpy(logits)).numpy()
    out = union_grown(things.masks, config.thing_margin_px)
    out |= (probabilities < config.background_threshold) | (ids == 0)
    ids[out] = 0
    probabilities[out] = 0
    return StuffRegions(label_map=ids, scores=probabilities.astype(np.float16))
