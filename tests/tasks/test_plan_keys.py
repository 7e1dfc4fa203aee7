"""The cache rule as a law: a key changes exactly when something its stage sees changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zeropan.choices import Precision
from zeropan.models.presets import ROLES, ModelIdentities
from zeropan.models.protocols import ModelIdentity
from zeropan.models.published.components import Role
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.cache_rule import PlannedKeys, plan_keys
from zeropan.tasks.work import STAGES, ImageRef

IMAGE = ImageRef(location="cup.png", sha256="00" * 32)
WORDS = Categories.from_words(["cup", "egg"], ["wood", "cloth"])
MODELS = ModelIdentities(
    detector=ModelIdentity("d", "aa"),
    segmenter=ModelIdentity("s", "bb"),
    text_segmenter=ModelIdentity("t", "cc"),
)
FULL: dict[Role, Precision] = dict.fromkeys(ROLES, "fp32")
ALL = set(STAGES)
STEPS_BELOW_THINGS = {"things", "stuff_regions", "stuff_masks", "panoptic"}
STEPS_BELOW_SCORES = {"stuff_regions", "stuff_masks", "panoptic"}


def keys_of(
    image: ImageRef = IMAGE,
    categories: Categories = WORDS,
    config: PipelineConfig | None = None,
    models: ModelIdentities = MODELS,
    precisions: dict[Role, Precision] = FULL,
) -> PlannedKeys:
    return plan_keys(image, categories, config or PipelineConfig(), models, precisions)


def changed_by(**changes: Any) -> set[str]:
    before, after = keys_of(), keys_of(**changes)
    return {stage for stage in STAGES if before.stages[stage] != after.stages[stage]}


def with_identity(**changes: ModelIdentity) -> ModelIdentities:
    values = {role: getattr(MODELS, role) for role in ROLES}
    return ModelIdentities(**(values | changes))


def things(change: Callable[[Category], Category]) -> Categories:
    return Categories(things=(change(WORDS.things[0]), *WORDS.things[1:]), stuff=WORDS.stuff)


def stuff(change: Callable[[Category], Category]) -> Categories:
    return Categories(things=WORDS.things, stuff=(change(WORDS.stuff[0]), *WORDS.stuff[1:]))


CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "another image": ({"image": ImageRef(location="cup.png", sha256="01" * 32)}, ALL),
    "another place": ({"image": IMAGE.model_copy(update={"location": "s3://b/egg.png"})}, set()),
    "another decoding": ({"image": IMAGE.model_copy(update={"decoding": 1})}, ALL),
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
        {"score_stuff"} | STEPS_BELOW_SCORES,
    ),
    "a detector in reduced precision": (
        {"precisions": FULL | {"detector": "bf16"}},
        {"ground_things"} | STEPS_BELOW_THINGS,
    ),
    "a segmenter in reduced precision": (
        {"precisions": FULL | {"segmenter": "bf16"}},
        {"embed_image"} | STEPS_BELOW_THINGS,
    ),
    "a text segmenter in reduced precision": (
        {"precisions": FULL | {"text_segmenter": "bf16"}},
        {"score_stuff"} | STEPS_BELOW_SCORES,
    ),
    "another thing word": (
        {"categories": Categories.from_words(["cup", "bowl"], ["wood", "cloth"])},
        {"ground_things"} | STEPS_BELOW_THINGS,
    ),
    "another stuff word": (
        {"categories": Categories.from_words(["cup", "egg"], ["wood", "slate"])},
        {"score_stuff"} | STEPS_BELOW_SCORES,
    ),
    "the words in another order": (
        {"categories": Categories.from_words(["egg", "cup"], ["cloth", "wood"])},
        set(),
    ),
    "a thing's own threshold": (
        {"categories": things(lambda c: c.model_copy(update={"box_threshold": 0.5}))},
        STEPS_BELOW_THINGS,
    ),
    "a stuff word's own threshold": (
        {"categories": stuff(lambda c: c.model_copy(update={"background_threshold": 0.5}))},
        STEPS_BELOW_SCORES,
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


def test_every_key_is_another() -> None:
    keys = keys_of()
    digests = {key.digest for key in (*keys.stages.values(), *keys.words.values())}
    assert len(digests) == len(STAGES) + len(WORDS.stuff)
