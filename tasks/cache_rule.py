"""The cache rule: what each stage's result depends on, and nothing else.

Every key of a run can be computed before anything runs, and the same work has the same key on
every machine: no device, no path and no time is part of a key. A key names a stage's inputs by
their keys, so a change reaches exactly the stages below it. What is optional, or was added later,
is part of a key only where it says something: a word's own threshold, a new parameter that is not
neutral, a decoding of the image that gives other pixels than the first, reduced precision.

Words are known by their prompts. `score_stuff` has an artifact for each word, whose key knows that
word alone; the words of things share a caption, so everything below that depends on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zeropan.choices import Precision
from zeropan.models.presets import ModelIdentities
from zeropan.models.published.components import Role
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig, key_part
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.tasks.work import ImageRef, Stage

ALGORITHM_VERSIONS: dict[Stage, int] = {
    "embed_image": 2,
    "ground_things": 3,
    "score_stuff": 2,
    "things": 2,
    "stuff_regions": 2,
    "stuff_masks": 2,
    "panoptic": 2,
}
"""Raised by hand when a stage gives another result for the same inputs."""


@dataclass(frozen=True)
class PlannedKeys:
    """The keys of all that one image's stages store."""

    stages: Mapping[Stage, ArtifactKey]
    """That of score_stuff stands for all its words; nothing is stored under it."""
    words: Mapping[str, ArtifactKey]
    """The key of each stuff prompt's artifact of score_stuff, in the canonical order."""


def plan_keys(
    image: ImageRef,
    categories: Categories,
    config: PipelineConfig,
    models: ModelIdentities,
    precisions: Mapping[Role, Precision],
) -> PlannedKeys:
    """The key of every artifact of one image; nothing runs.

    Args:
        image: its bytes' digest, and the version of their decoding.
        categories: in any order; a stage sees the canonical ids and prompts, and the overrides
            that it applies. Names are for people and change no key.
        config: a stage sees its own part.
        models: the digests of the three models' files.
        precisions: the arithmetic of each model's backbone, as it is on this machine.
    """
    categories = categories.canonical
    keys: dict[Stage, ArtifactKey] = {}

    def key(stage: Stage, inputs: dict[str, object]) -> ArtifactKey:
        return artifact_key(stage, version=ALGORITHM_VERSIONS[stage], inputs=inputs)

    def upstream(*stages: Stage) -> dict[str, object]:
        return {"upstream": [str(keys[stage]) for stage in stages]}

    def backbone(role: Role) -> dict[str, object]:
        inputs: dict[str, object] = {"image": image.sha256, "model": getattr(models, role).sha256}
        if image.decoding:
            inputs["decoding"] = image.decoding
        if precisions[role] != "fp32":
            inputs["precision"] = precisions[role]
        return inputs

    thing_ids, stuff_ids = categories.prompt_category_ids
    keys["embed_image"] = key("embed_image", backbone("segmenter"))
    keys["ground_things"] = key(
        "ground_things", backbone("detector") | {"prompts": list(categories.thing_prompts)}
    )
    words = {
        prompt: key("score_stuff", backbone("text_segmenter") | {"prompt": prompt})
        for prompt in categories.stuff_prompts
    }
    keys["score_stuff"] = key(
        "score_stuff", {"words": [words[prompt].digest for prompt in categories.stuff_prompts]}
    )
    keys["things"] = key(
        "things",
        upstream("embed_image", "ground_things")
        | {
            "model": models.segmenter.sha256,
            "config": key_part(config.things),
            "prompt_category_ids": list(thing_ids),
        }
        | _own("box_thresholds", (one.box_threshold for one in categories.things)),
    )
    keys["stuff_regions"] = key(
        "stuff_regions",
        upstream("score_stuff", "things")
        | {"config": key_part(config.stuff_regions), "prompt_category_ids": list(stuff_ids)}
        | _own("background_thresholds", (one.background_threshold for one in categories.stuff)),
    )
    keys["stuff_masks"] = key(
        "stuff_masks",
        upstream("embed_image", "stuff_regions")
        | {"model": models.segmenter.sha256, "config": key_part(config.stuff_masks)},
    )
    keys["panoptic"] = key(
        "panoptic",
        upstream("things", "stuff_regions", "stuff_masks")
        | {"config": key_part(config.panoptic)}
        | _own("min_areas", (one.min_area for one in categories.ordered)),
    )
    return PlannedKeys(keys, words)


def _own(name: str, values: Iterable[float | None]) -> dict[str, object]:
    """Categories' own values, by place; no part of a key where no category has one."""
    found = {str(place): value for place, value in enumerate(values) if value is not None}
    return {name: found} if found else {}
