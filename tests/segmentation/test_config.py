"""The parameters of the four steps."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from zeropan.segmentation.config import (
    METHOD_NAMES,
    METHODS,
    PipelineConfig,
    StageConfig,
    ThingsConfig,
)

STAGES: list[type[StageConfig]] = [
    type(getattr(PipelineConfig(), name)) for name in PipelineConfig.model_fields
]


def test_every_method_is_named_and_the_default_is_the_default() -> None:
    assert set(METHODS) == set(METHOD_NAMES)
    assert METHODS["default"] == PipelineConfig()


def test_the_reference_has_the_published_thresholds() -> None:
    reference = METHODS["reference"]
    assert (reference.things.box_threshold, reference.things.text_threshold) == (0.3, 0.25)
    assert reference.stuff_regions.background_threshold == 0.1
    assert (reference.stuff_masks.erosion_px, reference.stuff_masks.points_per_region) == (20, 1000)
    sigmoid = 1 / (1 + math.exp(-reference.stuff_masks.mask_threshold))
    assert sigmoid == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("stage", STAGES)
def test_every_field_says_what_it_is(stage: type[StageConfig]) -> None:
    for name, field in stage.model_fields.items():
        assert field.description, f"{stage.__name__}.{name} has no description"
        assert field.description.endswith(".")


def test_unknown_and_impossible_values_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="box_treshold"):
        ThingsConfig.model_validate({"box_treshold": 0.3})
    for value in (-0.1, 1.1, math.nan, math.inf, "high"):
        with pytest.raises(ValidationError, match="box_threshold"):
            ThingsConfig.model_validate({"box_threshold": value})


def test_configs_are_frozen_and_survive_json() -> None:
    for config in METHODS.values():
        assert PipelineConfig.model_validate_json(config.model_dump_json()) == config
        with pytest.raises(ValidationError, match="frozen"):
            config.things.box_threshold = 0.1  # type: ignore[misc]
