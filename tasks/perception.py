"""The three perception tasks: one backbone each, run once for an image and its words.

They do not depend on any threshold, so a changed threshold never runs a backbone again.
"""

from __future__ import annotations

import threading

from zeropan.models.loading import detector, segmenter, text_segmenter
from zeropan.segmentation.records import GroundedBoxes, ImageEmbedding, StuffLogits
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache import cached_stage
from zeropan.tasks.pixels import pixels_of
from zeropan.tasks.work import ImageWork

_DETECTS, _SCORES = threading.Lock(), threading.Lock()
"""Threads take turns: the detector's encoder is patched while it runs, and tokenisers are shared.

Arithmetic of one pass uses all cores anyway.
"""


def _embed(work: ImageWork, store: ArtifactStore) -> ImageEmbedding:
    """SAM's image encoder: the embedding that every later prompt uses."""
    return segmenter(work.preset, work.device, work.precision).embed(pixels_of(work))


def _ground(work: ImageWork, store: ArtifactStore) -> GroundedBoxes:
    """Grounding DINO: a score for every query box and token of the thing words."""
    pixels = pixels_of(work)
    with _DETECTS:
        model = detector(work.preset, work.device, work.precision)
        return model.ground(pixels, work.categories.thing_prompts)


def _score(work: ImageWork, store: ArtifactStore) -> StuffLogits:
    """CLIPSeg: a coarse grid of logits for every stuff word."""
    pixels = pixels_of(work)
    with _SCORES:
        model = text_segmenter(work.preset, work.device, work.precision)
        return model.score(pixels, work.categories.stuff_prompts)


embed_image = cached_stage("embed_image", _embed)
ground_things = cached_stage("ground_things", _ground)
score_stuff = cached_stage("score_stuff", _score)
