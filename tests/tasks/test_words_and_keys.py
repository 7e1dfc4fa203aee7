"""What words do to keys, for any words: laws, not examples."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tests.tasks.test_plan_keys import FULL, IMAGE, MODELS
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import PipelineConfig, ThingsConfig, key_part, neutral
from zeropan.tasks.cache_rule import PlannedKeys, plan_keys
from zeropan.tasks.work import STAGES, STEPS, Stage

LETTERS = ("ash", "birch", "cedar", "elm", "fir", "oak", "pine", "teak", "yew")
BELOW_SCORES: tuple[Stage, ...] = ("stuff_regions", "stuff_masks", "panoptic")


@st.composite
def word_lists(draw: st.DrawFn) -> Categories:
    """Things and stuff with synonyms and perhaps thresholds; no prompt in two categories."""
    prompts = draw(st.permutations(LETTERS))
    counts = draw(st.lists(st.integers(1, 3), max_size=5))
    share = st.one_of(st.none(), st.sampled_from([0.1, 0.5, 1.0]))
    lists: tuple[list[Category], list[Category]] = ([], [])
    used = 0
    for count in counts:
        mine = tuple(prompts[used : used + count])
        used += count
        if not mine:
            break
        isthing = draw(st.booleans())
        lists[not isthing].append(
            Category(
                name=f"name of {mine[0]}",
                isthing=isthing,
                prompts=mine,
                box_threshold=draw(share) if isthing else None,
                background_threshold=None if isthing else draw(share),
                min_area=draw(share),
            )
        )
    return Categories.checked(*lists)


def keys_of(categories: Categories) -> PlannedKeys:
    return plan_keys(IMAGE, categories, PipelineConfig(), MODELS, FULL)


def changed(before: Categories, after: Categories) -> set[Stage]:
    old, new = keys_of(before), keys_of(after)
    return {stage for stage in STAGES if old.stages[stage] != new.stages[stage]}


@given(word_lists(), st.randoms())
def test_order_synonyms_order_and_names_have_no_part_in_a_key(
    words: Categories, random: Random
) -> None:
    def shuffled(categories: tuple[Category, ...]) -> tuple[Category, ...]:
        order = list(categories)
        random.shuffle(order)
        return tuple(
            one.model_copy(update={"name": f"x{i}", "prompts": one.prompts[::-1]})
            for i, one in enumerate(order)
        )

    other = Categories(things=shuffled(words.things), stuff=shuffled(words.stuff))
    assert keys_of(other) == keys_of(words)
    assert [one.prompts for one in other.canonical.ordered] == [
        one.prompts for one in words.canonical.ordered
    ]


@given(word_lists())
def test_canonical_words_are_the_same_words_once_more(words: Categories) -> None:
    canonical = words.canonical
    assert canonical.canonical == canonical
    assert {one.name for one in canonical.ordered} == {one.name for one in words.ordered}
    assert set(canonical.thing_prompts) == set(words.thing_prompts)
    assert list(canonical.stuff) == sorted(canonical.stuff, key=lambda one: one.prompts)


@given(word_lists())
def test_a_stuff_word_more_scores_that_word_alone(words: Categories) -> None:
    new = Category(name="new", isthing=False, prompts=("zelkova", "new"))
    more = Categories(things=words.things, stuff=(new, *words.stuff))
    old, now = keys_of(words), keys_of(more)
    assert set(now.words) - set(old.words) == {"zelkova", "new"}
    assert {prompt: now.words[prompt] for prompt in old.words} == dict(old.words)
    assert changed(words, more) == {"score_stuff", *BELOW_SCORES}


@given(word_lists())
def test_a_thing_word_more_changes_what_shares_its_caption(words: Categories) -> None:
    new = Category(name="new", isthing=True)
    more = Categories(things=(new, *words.things), stuff=words.stuff)
    assert changed(words, more) == {"ground_things", *STEPS}
    assert keys_of(more).words == keys_of(words).words


@given(word_lists(), st.sampled_from([0.2, 0.7]))
def test_a_threshold_of_its_own_changes_no_perception(words: Categories, value: float) -> None:
    things = tuple(one.model_copy(update={"box_threshold": value}) for one in words.things)
    found = changed(words, Categories(things=things, stuff=words.stuff))
    assert found == (set(STEPS) if words.things else set())
    stuff = tuple(one.model_copy(update={"background_threshold": value}) for one in words.stuff)
    found = changed(words, Categories(things=words.things, stuff=stuff))
    assert found == (set(BELOW_SCORES) if words.stuff else set())


class LaterConfig(ThingsConfig):
    """As a later release may have it."""

    grow_px: int = Field(default=3, json_schema_extra=neutral(0))


@given(st.integers(-2, 2))
def test_a_later_field_counts_only_where_it_is_not_neutral(value: int) -> None:
    before = key_part(ThingsConfig())
    after = key_part(LaterConfig(grow_px=value))
    assert after == (before if value == 0 else before | {"grow_px": value})
    assert json.loads(json.dumps(after)) == after
