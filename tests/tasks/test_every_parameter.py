"""For every parameter of every step: a change reaches its step's key and those below it, no more.

tests/flows/test_cache_matrix.py shows with one parameter a step that runs do as the keys say.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from tests.tasks.test_plan_keys import changed_by
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.work import STAGES, STEPS

DOWNSTREAM = {
    "things": {"things", "stuff_regions", "stuff_masks", "panoptic"},
    "stuff_regions": {"stuff_regions", "stuff_masks", "panoptic"},
    "stuff_masks": {"stuff_masks", "panoptic"},
    "panoptic": {"panoptic"},
}
# One value for each parameter, or two where the default may be either.
CHANGED: dict[str, Any] = {
    "things.box_threshold": 0.31,
    "things.text_threshold": 0.11,
    "things.token_score": "max",
    "things.nms_iou": 0.61,
    "things.max_boxes": 50,
    "things.mask_threshold": 0.5,
    "stuff_regions.background_threshold": 0.23,
    "stuff_regions.thing_margin_px": 1,
    "stuff_masks.prompt_by": ("region", "part"),
    "stuff_masks.points_per_region": 5,
    "stuff_masks.negative_points": 2,
    "stuff_masks.majority": (True, False),
    "stuff_masks.min_agreement": 0.4,
    "stuff_masks.sampling": "score",
    "stuff_masks.erosion": 0.01,
    "stuff_masks.erosion_px": 3,
    "stuff_masks.min_region_area": 0.004,
    "stuff_masks.multimask": "best",
    "stuff_masks.mask_threshold": 0.5,
    "stuff_masks.seed": 1,
    "panoptic.overlap": "paint",
    "panoptic.min_thing_area": 0.001,
    "panoptic.min_stuff_area": 0.01,
    "panoptic.max_hole_area": 0.001,
    "panoptic.max_crumb_area": 0.001,
    "panoptic.min_visible_share": 0.5,
    "panoptic.fill": ("none", "region"),
}


def every_parameter() -> list[str]:
    found = []
    for stage in STEPS:
        model = PipelineConfig.model_fields[stage].annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        found += [f"{stage}.{field}" for field in model.model_fields]
    return found


def changed(parameter: str) -> PipelineConfig:
    """The usual parameters with another value of one."""
    stage, _, field = parameter.partition(".")
    config = PipelineConfig()
    given_ = CHANGED[parameter]
    options = given_ if isinstance(given_, tuple) else (given_,)
    usual = getattr(getattr(config, stage), field)
    value = next(value for value in options if value != usual)
    part = getattr(config, stage).model_copy(update={field: value})
    return config.model_copy(update={stage: part})


def test_the_table_of_changes_covers_every_parameter() -> None:
    assert set(CHANGED) == set(every_parameter())


@pytest.mark.parametrize("parameter", every_parameter())
def test_a_change_reaches_its_step_and_those_below(parameter: str) -> None:
    assert changed_by(config=changed(parameter)) == DOWNSTREAM[parameter.partition(".")[0]]


def test_every_stage_is_among_those_that_a_change_can_reach() -> None:
    assert set.union(*DOWNSTREAM.values()) == set(STAGES) - {
        "embed_image", "ground_things", "score_stuff",
    }  # fmt: skip
