"""The whole algorithm over records: perception, then the four steps. Read this first.

    embed      ground         score
      │    ┌─────┘              │           perception: one backbone each, no threshold
     things ────────────► stuff_regions
      │                         │
      │        stuff_masks ◄────┤           (stuff_masks also reads the embedding)
      └────────► panoptic ◄─────┘

Tasks, the Python API, benchmarks and tests call these functions and no others, so what they
compute cannot differ. Words are canonical here (`Categories.canonical`); an id is a place among
them. Nothing is random but for the points of the sampling "score", whose generator is seeded by
the config, the image's digest and the word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zeropan.segmentation.asked import Asked
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.panoptic import fuse
from zeropan.segmentation.prompting import MaskPrompter
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    UInt8,
    rounded,
)
from zeropan.segmentation.seams import (
    BoxDetector,
    CoarseTextSegmenter,
    Models,
    PromptableSegmenter,
)
from zeropan.segmentation.stuff_masks import refine_stuff
from zeropan.segmentation.stuff_regions import find_stuff_regions
from zeropan.segmentation.things import segment_things


@dataclass(frozen=True, eq=False)
class Perception:
    """What the three backbones say of an image and its words, before any threshold."""

    embedding: ImageEmbedding
    grounded: GroundedBoxes
    stuff: StuffLogits


@dataclass(frozen=True, eq=False)
class Steps:
    """What the four steps make of it."""

    things: ThingMasks
    regions: StuffRegions
    stuff: StuffMasks
    panoptic: Panoptic


def embed(image: UInt8, segmenter: PromptableSegmenter) -> ImageEmbedding:
    """The segmenter's image encoder. image: uint8 (H, W, 3), RGB."""
    return rounded(segmenter.embed(image))


def ground(image: UInt8, categories: Categories, detector: BoxDetector) -> GroundedBoxes:
    """The detector's boxes for every thing's prompts, in one caption as far as they fit."""
    return rounded(detector.ground(image, categories.canonical.thing_prompts))


def score(
    image: UInt8, prompts: Sequence[str], text_segmenter: CoarseTextSegmenter
) -> tuple[StuffLogits, ...]:
    """The text segmenter's logits for stuff prompts: a record each, whatever the others are."""
    if not prompts:
        return ()
    return tuple(rounded(word) for word in text_segmenter.score(image, prompts).split())


def perceive(image: UInt8, categories: Categories, models: Models) -> Perception:
    """Run the three backbones once. image: uint8 (H, W, 3), RGB."""
    words = score(image, categories.canonical.stuff_prompts, models.text_segmenter)
    return Perception(
        embed(image, models.segmenter),
        ground(image, categories, models.detector),
        StuffLogits.joined(words, (image.shape[0], image.shape[1])),
    )


def things(
    embedding: ImageEmbedding, grounded: GroundedBoxes, ask: Asked, segmenter: MaskPrompter
) -> ThingMasks:
    """Step 1: boxes above their threshold become masks."""
    return segment_things(
        grounded, embedding, ask.categories, ask.config.things, segmenter=segmenter
    )


def stuff_regions(stuff: StuffLogits, things: ThingMasks, ask: Asked) -> StuffRegions:
    """Step 2: the best stuff word of every pixel that no thing covers."""
    return find_stuff_regions(stuff, things, ask.categories, ask.config.stuff_regions)


def stuff_masks(
    embedding: ImageEmbedding, regions: StuffRegions, ask: Asked, segmenter: MaskPrompter
) -> StuffMasks:
    """Step 3: points sampled from the regions become masks with better outlines."""
    return refine_stuff(
        regions,
        embedding,
        ask.categories,
        ask.config.stuff_masks,
        segmenter=segmenter,
        image_sha256=ask.image_sha256,
    )


def panoptic(things: ThingMasks, regions: StuffRegions, stuff: StuffMasks, ask: Asked) -> Panoptic:
    """Step 4: things and stuff become one label map."""
    return fuse(things, regions, stuff, ask.categories, ask.config.panoptic)


def run_steps(perception: Perception, ask: Asked, segmenter: MaskPrompter) -> Steps:
    """The four steps. No backbone runs: the segmenter only answers boxes and points."""
    one = things(perception.embedding, perception.grounded, ask, segmenter)
    two = stuff_regions(perception.stuff, one, ask)
    three = stuff_masks(perception.embedding, two, ask, segmenter)
    return Steps(one, two, three, panoptic(one, two, three, ask))


def segment(image: UInt8, ask: Asked, models: Models) -> Steps:
    """The whole algorithm on one image. image: uint8 (H, W, 3), RGB."""
    return run_steps(perceive(image, ask.categories, models), ask, models.segmenter)
