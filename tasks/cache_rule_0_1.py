"""The cache rule of 0.1.0, frozen: only to find and read what was recorded by it.

There words are in the user's order, all stuff words are one artifact, and precision is no part of
a key. Nothing is computed or stored under these keys any more; do not change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeropan.models.presets import ModelIdentities
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig, StageConfig
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.tasks.work import Stage

FIELDS: Mapping[Stage, tuple[str, ...]] = {
    "things": (
        "box_threshold", "text_threshold", "token_score", "nms_iou", "max_boxes", "mask_threshold",
    ),
    "stuff_regions": ("background_threshold", "thing_margin_px"),
    "stuff_masks": (
        "prompt_by", "points_per_region", "sampling", "erosion", "erosion_px", "min_region_area",
        "multimask", "mask_threshold", "negative_points", "majority", "min_agreement", "seed",
    ),
    "panoptic": (
        "overlap", "min_thing_area", "min_stuff_area", "max_hole_area", "max_crumb_area",
        "min_visible_share", "fill",
    ),
}  # fmt: skip
"""The parameters that 0.1.0 had; what was added since is no part of its keys."""

ALGORITHM_VERSIONS: dict[Stage, int] = {
    "embed_image": 1,
    "ground_things": 2,
    "score_stuff": 1,
    "things": 1,
    "stuff_regions": 1,
    "stuff_masks": 1,
    "panoptic": 1,
}
"""As 0.1.0 had them."""


def plan_keys_0_1(
    image_sha256: str,
    categories: Categories,
    config: PipelineConfig,
    models: ModelIdentities,
) -> dict[Stage, ArtifactKey]:
    """The key under which 0.1.0 stored every stage's artifact for one image.

    Args:
        image_sha256: hex digest of the image file's bytes.
        categories: in the order in which the user gave them, never the canonical one; the ids in
            what is stored are places in that order.
        config: the recorded parameters.
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
            "config": _recorded("things", config.things),
            "prompt_category_ids": list(thing_ids),
            "box_thresholds": [category.box_threshold for category in categories.things],
        },
    )
    plan(
        "stuff_regions",
        upstream("score_stuff", "things")
        | {
            "config": _recorded("stuff_regions", config.stuff_regions),
            "prompt_category_ids": list(stuff_ids),
        },
    )
    plan(
        "stuff_masks",
        upstream("embed_image", "stuff_regions")
        | {
            "model": models.segmenter.sha256,
            "config": _recorded("stuff_masks", config.stuff_masks),
        },
    )
    plan(
        "panoptic",
        upstream("things", "stuff_regions", "stuff_masks")
        | {
            "config": _recorded("panoptic", config.panoptic),
            "min_areas": [category.min_area for category in categories.ordered],
        },
    )
    return keys


def _recorded(stage: Stage, config: StageConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", include=set(FIELDS[stage]))
