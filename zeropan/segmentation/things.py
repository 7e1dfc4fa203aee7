"""Step 1: boxes above their category's threshold, and the segmenter's masks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.nms import suppress_duplicates
from zeropan.segmentation.prompting import MaskPrompter
from zeropan.segmentation.records import Float32, GroundedBoxes, ImageEmbedding, Int32, ThingMasks
from zeropan.segmentation.token_scores import score_categories


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes with one score and one category each, best first."""

    boxes_xyxy: Float32
    """float32 (N, 4), pixels of the original image, inside it, of positive width and height."""
    scores: Float32
    """float32 (N,) in [0, 1], descending."""
    category_ids: Int32
    """int32 (N,): ids of thing categories."""


def thresholds_of(categories: Categories, config: ThingsConfig) -> Float32:
    """Each thing category's box threshold, float32 (C,): its own, or else the common one."""
    return np.array(
        [
            config.box_threshold if category.box_threshold is None else category.box_threshold
            for category in categories.things
        ],
        dtype=np.float32,
    )


def detect(
    boxes_xyxy: Float32, scores: Float32, thresholds: Float32, image_size: tuple[int, int]
) -> Detections:
    """Give every box its best category, and keep the boxes that reach that category's threshold.

    A box that several categories' scores reach goes to the highest score, then to the lower id.
    The order of the result depends on the boxes' values alone, never on their order in the input.

    Args:
        boxes_xyxy: float32 (N, 4), pixels.
        scores: float32 (N, C) in [0, 1]; column c is category c + 1.
        thresholds: float32 (C,) in [0, 1].
        image_size: (H, W); boxes are clipped to it, and those left without an area are dropped.
    """
    height, width = image_size
    limits = np.array([width, height, width, height], dtype=np.float32)
    boxes = np.clip(boxes_xyxy, 0, limits).astype(np.float32)
    passing = np.where((scores >= thresholds) & (scores > 0), scores, 0)
    if passing.shape[1] == 0:
        passing = np.zeros((len(boxes), 1), dtype=np.float32)
    best = passing.max(axis=1)
    category_ids = passing.argmax(axis=1).astype(np.int32) + np.int32(1)
    # Comparisons with NaN are false, so a box with a NaN corner goes too.
    keep = (best > 0) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, best, category_ids = boxes[keep], best[keep], category_ids[keep]
    # The last key counts first.
    order = np.lexsort((category_ids, *boxes.T[::-1], -best))
    return Detections(boxes[order], best[order].astype(np.float32), category_ids[order])


def segment_things(
    grounded: GroundedBoxes,
    embedding: ImageEmbedding,
    categories: Categories,
    config: ThingsConfig,
    *,
    segmenter: MaskPrompter,
) -> ThingMasks:
    """Step 1: select boxes, drop duplicates, and prompt the segmenter with the rest.

    Raises:
        RecordError: the boxes were grounded for other prompts or for another image size.
    """
    if grounded.prompts != categories.thing_prompts:
        raise RecordError(
            f"prompts: expected {categories.thing_prompts}, got {grounded.prompts}; "
            "ground the image with the same categories"
        )
    if grounded.image_size != embedding.image_size:
        raise RecordError(
            f"image_size: expected {embedding.image_size}, got {grounded.image_size}; "
            "ground and embed the same image"
        )
    boxes, scores = score_categories(grounded, categories.prompt_category_ids[0], config)
    found = detect(boxes, scores, thresholds_of(categories, config), grounded.image_size)
    kept = suppress_duplicates(found.boxes_xyxy, max_iou=config.nms_iou, max_count=config.max_boxes)
    if len(kept) == 0:
        return _no_things(embedding.image_size)
    boxes = found.boxes_xyxy[kept]
    answer = segmenter.masks_from_boxes(
        embedding, boxes, multimask=False, mask_threshold=config.mask_threshold
    )
    return ThingMasks(
        boxes_xyxy=boxes,
        masks=answer.masks[:, 0],
        scores=found.scores[kept],
        mask_quality=answer.quality[:, 0].astype(np.float32),
        category_ids=found.category_ids[kept],
    )


def _no_things(image_size: tuple[int, int]) -> ThingMasks:
    return ThingMasks(
        boxes_xyxy=np.zeros((0, 4), dtype=np.float32),
        masks=np.zeros((0, *image_size), dtype=np.bool_),
        scores=np.zeros(0, dtype=np.float32),
        mask_quality=np.zeros(0, dtype=np.float32),
        category_ids=np.zeros(0, dtype=np.int32),
    )
