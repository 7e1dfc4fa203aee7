"""The cache rule as a law: a key changes exactly when something its stage sees changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zeropan.models.presets import ModelIdentities
from zeropan.models.protocols import ModelIdentity
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.cache_rule import plan_keys
from zeropan.tasks.work import STAGES

WORDS = Categories.from_words(["cup", "egg"], ["wood", "cloth"])
MODELS = ModelIdentities(
    detector=ModelIdentity("d", "aa"),
    segmenter=ModelIdentity("s", "bb"),
    text_segmenter=ModelIdentity("t", "cc"),
)
ALL = set(STAGES)
STEPS_BELOW_THINGS = {"things", "stuff_regions", "stuff_masks", "panoptic"}


def changed_by(
    image: str = "00",
    categories: Categories = WORDS,
    config: PipelineConfig | None = None,
    models: ModelIdentities = MODELS,
) -> set[str]:
    before = plan_keys("00", WORDS, PipelineConfig(), MODELS)
    after = plan_keys(image, categories, config or PipelineConfig(), models)
    return {stage for stage in STAGES if before[stage] != after[stage]}


def with_identity(**changes: ModelIdentity) -> ModelIdentities:
    values = {"detector": MODELS.detector, "segmenter": MODELS.segmenter} | {
        "text_segmenter": MODELS.text_segmenter
    }
    return ModelIdentities(**(values | changes))


def things(change: Callable[[Category], Category]) -> Categories:
    return Categories(things=(change(WORDS.things[0]), *WORDS.things[1:]), stuff=WORDS.stuff)


CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "another image": ({"image": "01"}, ALL),
    "another detector": (
        {"models": with_identity(detector=ModelIdentity("d", "dd"))},
        {"ground_things"} | STEPS_BELOW_THINGS,
    ),
    "another segmenter": (
        {"models": with_identity(segmenter=ModelIdentity("s", "dd"))},
        {"embed_image"} | STEPS_BELOW_THINGS,
    ),
    "another text segmenter": (
        {"models": with_identity(text_segmenter=ModelIdentity("t", "dd"))},
        {"score_stuff", "stuff_regions", "stuff_masks", "panoptic"},
    ),
    "another thing word": (
        {"categories": Categories.from_words(["cup", "bowl"], ["wood", "cloth"])},
        {"ground_things"} | STEPS_BELOW_THINGS,
    ),
    "another stuff word": (
        {"categories": Categories.from_words(["cup", "egg"], ["wood", "slate"])},
        {"score_stuff", "stuff_regions", "stuff_masks", "panoptic"},
    ),
    "a category's own threshold": (
        {"categories": things(lambda c: c.model_copy(update={"box_threshold": 0.5}))},
        STEPS_BELOW_THINGS,
    ),
    "a category's own minimum area": (
        {"categories": things(lambda c: c.model_copy(update={"min_area": 0.1}))},
        {"panoptic"},
    ),
    "a name, with the prompt kept": (
        {"categories": things(lambda c: c.model_copy(update={"name": "mug"}))},
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_key_changes_when_its_stage_sees_a_change(case: str) -> None:
    arguments, expected = CASES[case]
    assert changed_by(**arguments) == expected


def test_keys_are_the_same_in_every_process() -> None:
    keys = plan_keys("00" * 32, WORDS, PipelineConfig(), MODELS)
    again = plan_keys("00" * 32, WORDS, PipelineConfig(), MODELS)
    assert keys == again
    assert len({key.digest for key in keys.values()}) == len(STAGES)
