"""The three perception tasks: one backbone each, run once for an image and its words.

They do not depend on any threshold, so a changed threshold never runs a backbone again.
"""

from __future__ import annotations

from models.loading import detector, segmenter, text_segmenter
from segmentation.errors import BadImage
from segmentation.images import load_image, read_image_bytes
from segmentation.records import GroundedBoxes, ImageEmbedding, StuffLogits, UInt8
from storage.store import ArtifactStore
from tasks.cache import cached_stage
from tasks.work import ImageWork, image_digest


def _pixels(work: ImageWork) -> UInt8:
    """The image as uint8 (H, W, 3), made sure to be the one that the key names."""
    data = read_image_bytes(work.image.location)
    if image_digest(data) != work.image.sha256:
        raise BadImage(f"{work.image.location} changed while it was being segmented; run it again")
    return load_image(data, name=work.image.location, max_pixels=work.max_pixels)


def _embed(work: ImageWork, store: ArtifactStore) -> ImageEmbedding:
    """SAM's image encoder: the embedding that every later prompt uses."""
    return segmenter(work.preset, work.device, work.precision).embed(_pixels(work))


def _ground(work: ImageWork, store: ArtifactStore) -> GroundedBoxes:
    """Grounding DINO: a score for every query box and token of the thing words."""
    return detector(work.preset, work.device, work.precision).ground(
        _pixels(work), work.categories.thing_prompts
    )


def _score(work: ImageWork, store: ArtifactStore) -> StuffLogits:
    """CLIPSeg: a coarse grid of logits for every stuff word."""
    model = text_segmenter(work.preset, work.device, work.precision)
    return model.score(_pixels(work), work.categories.stuff_prompts)


embed_image = cached_stage("embed_image", _embed)
ground_things = cached_stage("ground_things", _ground)
score_stuff = cached_stage("score_stuff", _score)
