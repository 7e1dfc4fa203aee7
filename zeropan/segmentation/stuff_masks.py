"""Step 3: the segmenter's mask for every stuff category, from points in its coarse region."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import StuffMasksConfig
from zeropan.segmentation.prompting import MaskPrompter
from zeropan.segmentation.records import (
    Bool,
    Float32,
    ImageEmbedding,
    Int32,
    StuffMasks,
    StuffRegions,
)
from zeropan.segmentation.regions import Part, connected_parts
from zeropan.segmentation.sampling import draw_points, erode_square, spread_points


@dataclass(frozen=True, eq=False)
class PointPrompt:
    """Points that ask the segmenter for one part of one stuff category."""

    category_id: int
    points_xy: Float32
    """float32 (P, 2), pixels of the original image: the part's own points."""
    outside_xy: Float32
    """float32 (R, 2): points that are not to be in the mask."""


def make_rng(seed: int, image_sha256: str, prompts: Sequence[str]) -> np.random.Generator:
    """The generator of one word's points in one image.

    Seeded by the configured seed, the image's digest and the word's prompts, so that neither
    another threshold nor another word draws a word's points anew.
    """
    material = json.dumps([seed, image_sha256, list(prompts)])
    digest = hashlib.sha256(material.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def spread_prompts(regions: StuffRegions, config: StuffMasksConfig) -> Iterator[PointPrompt]:
    """Prompts with spread points for each category's region or its connected parts; not random.

    Parts that are too small prompt nothing.
    """
    label_map = regions.label_map
    shorter = min(label_map.shape)
    erosion_px = config.erosion_px / 2 if config.erosion_px else config.erosion * shorter
    for category_id in _labels(label_map):
        region = label_map == category_id
        outside = np.zeros((0, 2), dtype=np.float32)
        if config.negative_points:
            outside = spread_points(
                (label_map != 0) & ~region, config.negative_points, erosion_px=erosion_px
            )
        parts = connected_parts(region, config.min_region_area * region.size)
        if config.prompt_by == "region":
            points = spread_points(
                _together(parts, region), config.points_per_region, erosion_px=erosion_px
            )
            if len(points):
                yield PointPrompt(category_id, points, outside)
            continue
        for part in parts:
            points = spread_points(part.mask, config.points_per_region, erosion_px=erosion_px)
            corner = np.array([part.left, part.top], dtype=np.float32)
            yield PointPrompt(category_id, points + corner, outside)


def random_prompts(
    regions: StuffRegions,
    config: StuffMasksConfig,
    *,
    rng_of: Callable[[int], np.random.Generator],
) -> Iterator[PointPrompt]:
    """One prompt for each category's whole eroded region, drawn in proportion to its scores.

    As in the proof of concept, the largest eroded region gets `points_per_region` points and the
    others as many fewer as they are smaller; a region that vanishes prompts nothing.

    Args:
        regions: the coarse regions.
        config: sampling and erosion.
        rng_of: the generator of a category, by its id.
    """
    label_map = regions.label_map
    side = config.erosion_px or 2 * round(config.erosion * min(label_map.shape)) + 1
    categories = _labels(label_map)
    areas = {label: int(_eroded(label_map, label, side, config).sum()) for label in categories}
    largest = max(areas.values(), default=0)
    for label, area in areas.items():
        count = config.points_per_region * area // max(largest, 1)
        if count == 0:
            continue
        eroded = _eroded(label_map, label, side, config)
        points = draw_points(eroded, regions.scores, count, rng=rng_of(label))
        yield PointPrompt(label, points, np.zeros((0, 2), dtype=np.float32))


def _eroded(label_map: Int32, label: int, side: int, config: StuffMasksConfig) -> Bool:
    region = erode_square(label_map == label, side)
    if config.min_region_area == 0:
        return region
    return _together(connected_parts(region, config.min_region_area * region.size), region)


def _together(parts: Iterable[Part], region: Bool) -> Bool:
    whole = np.zeros_like(region)
    for part in parts:
        whole[part.window] |= part.mask
    return whole


def ask(
    prompt: PointPrompt,
    embedding: ImageEmbedding,
    config: StuffMasksConfig,
    segmenter: MaskPrompter,
) -> Bool:
    """The segmenter's answer to one prompt, as one mask: bool (H, W)."""
    labels = np.repeat(
        np.array([1, 0], dtype=np.int32), [len(prompt.points_xy), len(prompt.outside_xy)]
    )
    answer = segmenter.masks_from_points(
        embedding,
        [np.concatenate([prompt.points_xy, prompt.outside_xy])],
        [labels],
        multimask=config.multimask != "single",
        mask_threshold=config.mask_threshold,
    )
    masks = answer.masks[0]
    if config.multimask == "union":
        union: Bool = masks.any(axis=0)
        return union
    best: Bool = masks[int(np.argmax(answer.quality[0]))]
    return best


def agrees(mask: Bool, label_map: Int32, category_id: int, config: StuffMasksConfig) -> bool:
    """Whether a mask (H, W) lies enough on the coarse region of the category it was asked for."""
    if not mask.any():
        return False
    below = np.bincount(label_map[mask], minlength=category_id + 1)
    own = int(below[category_id])
    if own < config.min_agreement * below.sum():
        return False
    below[0] = 0
    return not config.majority or own == below.max()


def refine_stuff(
    regions: StuffRegions,
    embedding: ImageEmbedding,
    categories: Categories,
    config: StuffMasksConfig,
    *,
    segmenter: MaskPrompter,
    image_sha256: str,
) -> StuffMasks:
    """Step 3: sample points in every stuff region and unite the segmenter's answers to them.

    Every part is asked for on its own, so that memory does not grow with their number. An answer
    that lies mostly elsewhere speaks against the coarse part, and is refused; a category that is
    left without an answer has no mask.

    Args:
        regions: the coarse regions.
        embedding: the image's embedding.
        categories: what the regions' ids mean.
        config: sampling, erosion, and how the segmenter's outputs become one mask.
        segmenter: answers the points.
        image_sha256: names the image, so that different images draw different points.

    Raises:
        RecordError: regions and embedding are of different image sizes, or an id is no stuff.
    """
    if regions.label_map.shape != embedding.image_size:
        raise RecordError(
            f"label_map: expected {embedding.image_size}, got {regions.label_map.shape}; "
            "find the regions in the image that was embedded"
        )
    _expect_stuff_ids(regions, categories)

    def rng_of(category_id: int) -> np.random.Generator:
        return make_rng(config.seed, image_sha256, categories.by_id(category_id).prompts)

    prompts = (
        spread_prompts(regions, config)
        if config.sampling == "spread"
        else random_prompts(regions, config, rng_of=rng_of)
    )
    masks: dict[int, Bool] = {}
    points: dict[int, list[Float32]] = {}
    for prompt in prompts:
        label = prompt.category_id
        mask = ask(prompt, embedding, config, segmenter)
        if not agrees(mask, regions.label_map, label, config):
            continue
        masks[label] = masks[label] | mask if label in masks else mask
        points.setdefault(label, []).append(prompt.points_xy)
    return _collect(masks, points, regions)


def _collect(
    masks: dict[int, Bool], points: dict[int, list[Float32]], regions: StuffRegions
) -> StuffMasks:
    height, width = regions.label_map.shape
    by_segment = [np.concatenate(points[label]) for label in masks]
    return StuffMasks(
        masks=np.array(list(masks.values()), dtype=np.bool_).reshape(-1, height, width),
        scores=np.array([mean_score(regions, label) for label in masks], dtype=np.float32),
        category_ids=np.array(list(masks), dtype=np.int32),
        points_xy=np.concatenate([np.zeros((0, 2), dtype=np.float32), *by_segment]),
        point_segment=np.repeat(
            np.arange(len(by_segment), dtype=np.int32), [len(part) for part in by_segment]
        ),
    )


def mean_score(regions: StuffRegions, category_id: int) -> float:
    """The mean probability, 0 to 1, over a category's coarse region; 0 if it has none."""
    scores = regions.scores[regions.label_map == category_id]
    return float(scores.mean(dtype=np.float64)) if len(scores) else 0.0


def _labels(label_map: Int32) -> list[int]:
    return [label for label in np.unique(label_map).tolist() if label != 0]


def _expect_stuff_ids(regions: StuffRegions, categories: Categories) -> None:
    first, last = len(categories.things) + 1, len(categories.ordered)
    wrong = [label for label in _labels(regions.label_map) if not first <= label <= last]
    if wrong:
        raise RecordError(
            f"label_map: expected ids of stuff, {first} to {last}, got {wrong}; "
            "find the regions with the same categories"
        )
