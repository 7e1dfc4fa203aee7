"""For every parameter of every step: a change reaches its step's key and those below it, no more.

tests/flows/test_cache_matrix.py shows with one parameter a step that runs do as the keys say.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.tasks.test_plan_keys import changed_by, keys_of
from zeropan.segmentation.categories import Categories, Category
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


PROMPTS = st.lists(
    st.text("abcdef ", min_size=1, max_size=6).map(str.strip).filter(bool),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip


@given(PROMPTS, st.integers(0, 5), st.randoms())
def test_order_and_names_reach_no_key(prompts: list[str], cut: int, random: Any) -> None:
    def words(order: list[str], name: str) -> Categories:
        named = {
            prompt: Category(name=f"{name}{i}", isthing=i < cut, prompts=(prompt,))
            for i, prompt in enumerate(prompts)
        }
        listed = [named[prompt] for prompt in order]
        return Categories.checked(
            [one for one in listed if one.isthing], [one for one in listed if not one.isthing]
        )

    shuffled = random.sample(prompts, len(prompts))
    assert keys_of(categories=words(prompts, "a")) == keys_of(categories=words(shuffled, "b"))


@given(PROMPTS, st.data())
def test_a_stuff_word_that_comes_or_goes_touches_no_other_words_artifact(
    prompts: list[str], data: st.DataObject
) -> None:
    fewer = data.draw(st.lists(st.sampled_from(prompts), unique=True))
    all_of, some = (
        keys_of(categories=Categories.from_words(["cup"], words)) for words in (prompts, fewer)
    )
    assert {word: all_of.words[word] for word in some.words} == dict(some.words)
    for stage in ("embed_image", "ground_things", "things"):
        assert all_of.stages[stage] == some.stages[stage]
    if set(fewer) != set(prompts):
        assert all_of.stages["stuff_regions"] != some.stages["stuff_regions"]


def test_every_stage_is_among_those_that_a_change_can_reach() -> None:
    assert set.union(*DOWNSTREAM.values()) == set(STAGES) - {
        "embed_image", "ground_things", "score_stuff",
    }  # fmt: skip
