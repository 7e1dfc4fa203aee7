"""The cache rule: what each stage's result depends on, and nothing else.

Every key of a run can be computed before anything runs, and the same work has the same key on
every machine: no device, no path and no time is part of a key. A key names a stage's inputs by
their keys, so a change reaches exactly the stages below it.
"""

from __future__ import annotations

from zeropan.models.presets import ModelIdentities
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.tasks.work import Stage

ALGORITHM_VERSIONS: dict[Stage, int] = {
    "embed_image": 1,
    "ground_things": 2,
    "score_stuff": 1,
    "things": 1,
    "stuff_regions": 1,
    "stuff_masks": 1,
    "panoptic": 1,
}
"""Raised by hand when a stage gives another result for the same inputs."""


def plan_keys(
    image_sha256: str,
    categories: Categories,
    config: PipelineConfig,
    models: ModelIdentities,
) -> dict[Stage, ArtifactKey]:
    """The key of every stage's artifact for one image.

    Args:
        image_sha256: hex digest of the image file's bytes.
        categories: a stage sees ids and prompts, and the overrides that it applies; names are
            for people and change no key.
        config: a stage sees its own part.
        models: the digests of the three models' files.
    """
    keys: dict[Stage, ArtifactKey] = {}

    def plan(stage: Stage, inputs: dict[str, object]) -> None:
        keys[stage] = artifact_key(stage, version=ALGORITHM_VERSIONS[stage], inputs=inputs)

    def upstream(*stages: Stage) -> dict[str, object]:
        return {"upstream": [str(keys[stage]) for stage in stages]}

    thing_ids, stuff_ids = categories.prompt_category_ids
    image: dict[str, object] = {"image": image_sha256}
    plan("embed_image", image | {"model": models.segmenter.sha256})
    plan(
        "ground_things",
        image | {"model": models.detector.sha256, "prompts": list(categories.thing_prompts)},
    )
    plan(
        "score_stuff",
        image | {"model": models.text_segmenter.sha256, "prompts": list(categories.stuff_prompts)},
    )
    plan(
        "things",
        upstream("embed_image", "ground_things")
        | {
            "model": models.segmenter.sha256,
            "config": config.things.model_dump(mode="json"),
            "prompt_category_ids": list(thing_ids),
            "box_thresholds": [category.box_threshold for category in categories.things],
        },
    )
    plan(
        "stuff_regions",
        upstream("score_stuff", "things")
        | {
            "config": config.stuff_regions.model_dump(mode="json"),
            "prompt_category_ids": list(stuff_ids),
        },
    )
    plan(
        "stuff_masks",
        upstream("embed_image", "stuff_regions")
        | {
            "model": models.segmenter.sha256,
            "config": config.stuff_masks.model_dump(mode="json"),
        },
    )
    plan(
        "panoptic",
        upstream("things", "stuff_regions", "stuff_masks")
        | {
            "config": config.panoptic.model_dump(mode="json"),
            "min_areas": [category.min_area for category in categories.ordered],
        },
    )
    return keys
