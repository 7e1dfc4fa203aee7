"""The four steps: each reads what is stored above it, calls one plain function, stores the result.

The functions are in `segmentation`; here is only where their inputs come from.
"""

from __future__ import annotations

from zeropan.models.loading import segmenter
from zeropan.segmentation.panoptic import fuse
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
)
from zeropan.segmentation.stuff_masks import refine_stuff
from zeropan.segmentation.stuff_regions import find_stuff_regions
from zeropan.segmentation.things import segment_things
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache import cached_stage
from zeropan.tasks.work import ImageWork


def _things(work: ImageWork, store: ArtifactStore) -> ThingMasks:
    """Step 1: boxes above their threshold become masks."""
    return segment_things(
        store.read(work.key("ground_things"), GroundedBoxes),
        store.read(work.key("embed_image"), ImageEmbedding),
        work.categories,
        work.config.things,
        segmenter=segmenter(work.preset, work.device, work.precision),
    )


def _stuff_regions(work: ImageWork, store: ArtifactStore) -> StuffRegions:
    """Step 2: the best stuff word of every pixel that no thing covers."""
    return find_stuff_regions(
        store.read(work.key("score_stuff"), StuffLogits),
        store.read(work.key("things"), ThingMasks),
        work.categories,
        work.config.stuff_regions,
    )


def _stuff_masks(work: ImageWork, store: ArtifactStore) -> StuffMasks:
    """Step 3: points sampled from the regions become masks with better outlines."""
    return refine_stuff(
        store.read(work.key("stuff_regions"), StuffRegions),
        store.read(work.key("embed_image"), ImageEmbedding),
        work.categories,
        work.config.stuff_masks,
        segmenter=segmenter(work.preset, work.device, work.precision),
        seed_material=work.digests["stuff_masks"],
    )


def _panoptic(work: ImageWork, store: ArtifactStore) -> Panoptic:
    """Step 4: things and stuff become one label map."""
    return fuse(
        store.read(work.key("things"), ThingMasks),
        store.read(work.key("stuff_regions"), StuffRegions),
        store.read(work.key("stuff_masks"), StuffMasks),
        work.categories,
        work.config.panoptic,
    )


things = cached_stage("things", _things)
stuff_regions = cached_stage("stuff_regions", _stuff_regions)
stuff_masks = cached_stage("stuff_masks", _stuff_masks)
panoptic = cached_stage("panoptic", _panoptic)
