"""What each stage computes: where its inputs come from, and which part of the pipeline it calls.

No framework: a Prefect task, the Python API and the explorer run the same stages, over a store on
a disk, in a bucket or in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from zeropan.segmentation import pipeline
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    Record,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    UInt8,
)
from zeropan.segmentation.seams import Models
from zeropan.storage.keys import ArtifactKey
from zeropan.tasks.work import ImageWork, Stage

R = TypeVar("R", bound=Record)


class Reader(Protocol):
    """Where the records of earlier stages are."""

    def read(self, key: ArtifactKey, kind: type[R], /) -> R:
        """Read a record.

        Raises:
            ArtifactMissing: no whole artifact is stored under the key.
            ArtifactDamaged: one is, but its bytes are not those that were written.
        """
        ...


@dataclass(frozen=True)
class Means:
    """What stages need besides records; nothing is decoded or loaded until one asks."""

    models: Models
    pixels: Callable[[ImageWork], UInt8]
    """The decoded image, uint8 (H, W, 3), RGB."""


def compute(
    stage: Stage, keys: Sequence[ArtifactKey], work: ImageWork, store: Reader, means: Means
) -> list[Record]:
    """The records of a stage under these keys, in their order.

    Args:
        stage: which one.
        keys: some of `work.artifacts(stage)`; of score_stuff those of the words that are missing.
        work: the image and what is asked of it.
        store: where earlier stages' records are.
        means: the image's pixels and the models.
    """
    if stage != "score_stuff":
        return [_ONE_RECORD[stage](work, store, means)]
    wanted = {key.digest for key in keys}
    prompts = [prompt for prompt, digest in work.word_digests.items() if digest in wanted]
    words = pipeline.score(means.pixels(work), prompts, means.models.text_segmenter)
    by_key = {work.word_key(word.prompts[0]): word for word in words}
    return [by_key[key] for key in keys]


def stuff_logits(work: ImageWork, store: Reader) -> StuffLogits:
    """All stuff words' logits, in the canonical order of the prompts."""
    size = store.read(work.key("things"), ThingMasks).masks.shape[1:]
    parts = [
        store.read(work.word_key(prompt), StuffLogits) for prompt in work.categories.stuff_prompts
    ]
    return StuffLogits.joined(parts, (size[0], size[1]))


def _embed(work: ImageWork, store: Reader, means: Means) -> ImageEmbedding:
    return pipeline.embed(means.pixels(work), means.models.segmenter)


def _ground(work: ImageWork, store: Reader, means: Means) -> GroundedBoxes:
    return pipeline.ground(means.pixels(work), work.categories, means.models.detector)


def _things(work: ImageWork, store: Reader, means: Means) -> ThingMasks:
    return pipeline.things(
        store.read(work.key("embed_image"), ImageEmbedding),
        store.read(work.key("ground_things"), GroundedBoxes),
        work.asked,
        means.models.segmenter,
    )


def _stuff_regions(work: ImageWork, store: Reader, means: Means) -> StuffRegions:
    return pipeline.stuff_regions(
        stuff_logits(work, store), store.read(work.key("things"), ThingMasks), work.asked
    )


def _stuff_masks(work: ImageWork, store: Reader, means: Means) -> StuffMasks:
    return pipeline.stuff_masks(
        store.read(work.key("embed_image"), ImageEmbedding),
        store.read(work.key("stuff_regions"), StuffRegions),
        work.asked,
        means.models.segmenter,
    )


def _panoptic(work: ImageWork, store: Reader, means: Means) -> Panoptic:
    return pipeline.panoptic(
        store.read(work.key("things"), ThingMasks),
        store.read(work.key("stuff_regions"), StuffRegions),
        store.read(work.key("stuff_masks"), StuffMasks),
        work.asked,
    )


_ONE_RECORD: Mapping[Stage, Callable[[ImageWork, Reader, Means], Record]] = {
    "embed_image": _embed,
    "ground_things": _ground,
    "things": _things,
    "stuff_regions": _stuff_regions,
    "stuff_masks": _stuff_masks,
    "panoptic": _panoptic,
}
