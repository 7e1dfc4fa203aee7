"""The word lists."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from zeropan.errors import BadCategories
from zeropan.segmentation.categories import Categories, Category


def test_words_become_categories_with_ids_things_first() -> None:
    categories = Categories.from_words(["cup", "red  bowl "], ["wood"])
    assert [category.name for category in categories.ordered] == ["cup", "red bowl", "wood"]
    assert [categories.id_of(category) for category in categories.ordered] == [1, 2, 3]
    assert categories.by_id(3).isthing is False
    assert categories.thing_prompts == ("cup", "red bowl")
    assert categories.stuff_prompts == ("wood",)


def test_empty_words_are_left_out_and_lists_may_be_empty() -> None:
    assert Categories.from_words(["", "  "], [""]) == Categories()
    assert Categories().prompt_category_ids == ((), ())


def test_every_synonym_knows_its_category() -> None:
    categories = Categories.checked(
        [
            Category(name="cup", isthing=True, prompts=("cup", "mug")),
            Category(name="egg", isthing=True),
        ],
        [Category(name="wood", isthing=False, prompts=("wooden board", "planks"))],
    )
    assert categories.thing_prompts == ("cup", "mug", "egg")
    assert categories.prompt_category_ids == ((1, 1, 2), (3, 3))


@pytest.mark.parametrize(
    ("things", "stuff", "message"),
    [
        (["cup", "Cup"], [], "'Cup' is named twice"),
        (["table"], ["table"], "'table' is named both as a thing and as stuff"),
        ([], ["wood", "wood"], "'wood' is named twice"),
    ],
)
def test_contradictions_are_refused(things: list[str], stuff: list[str], message: str) -> None:
    with pytest.raises(BadCategories, match=message):
        Categories.from_words(things, stuff)


def test_blank_prompts_and_wrong_lists_are_refused() -> None:
    with pytest.raises(BadCategories, match="'cup' has an empty name or prompt"):
        Categories.checked([Category(name="cup", isthing=True, prompts=("mug", " "))], [])
    with pytest.raises(BadCategories, match="'cup' is marked as a thing but listed as stuff"):
        Categories.checked([], [Category(name="cup", isthing=True)])
    with pytest.raises(BadCategories, match="'sky' is marked as stuff but listed as a thing"):
        Categories.checked([Category(name="sky", isthing=False)], [])


def test_a_category_is_frozen_and_knows_no_other_keys() -> None:
    category = Category(name="cup", isthing=True, box_threshold=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        category.name = "mug"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Category.model_validate({"name": "cup", "isthing": True, "treshold": 0.5})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Category(name="cup", isthing=True, box_threshold=35)


def test_categories_survive_json() -> None:
    categories = Categories.from_words(["cup"], ["wood"])
    assert Categories.model_validate_json(categories.model_dump_json()) == categories


def test_the_canonical_order_is_that_of_the_prompts_and_names_stay() -> None:
    given = Categories.checked(
        [
            Category(name="vessel", isthing=True, prompts=("mug", "cup", "mug")),
            Category(name="bowl", isthing=True, min_area=0.1),
        ],
        [Category(name="wood", isthing=False), Category(name="a table", isthing=False)],
    )
    words = given.canonical
    assert [one.name for one in words.ordered] == ["bowl", "vessel", "a table", "wood"]
    assert words.thing_prompts == ("bowl", "cup", "mug")
    assert words.things[0].min_area == 0.1
    assert words.canonical == words


def test_equal_prompts_are_told_apart_by_what_else_is_asked() -> None:
    one = Category(name="a", isthing=True, prompts=("cup",), box_threshold=0.5)
    other = Category(name="b", isthing=True, prompts=("cup",))
    for things in ((one, other), (other, one)):
        assert Categories(things=things).canonical.things == (other, one)
