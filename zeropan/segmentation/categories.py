"""The words a user asks for: one schema for things and stuff."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zeropan.errors import BadCategories


class Category(BaseModel):
    """One thing or stuff category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="The category's name, unique in its list.")
    isthing: bool = Field(description="True: countable instances; False: an amorphous region.")
    prompts: tuple[str, ...] = Field(
        default=(), description="Words or phrases the models are asked for; the name by default."
    )
    box_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Overrides things.box_threshold for this category; 0 to 1.",
    )
    background_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Overrides stuff_regions.background_threshold for this stuff category; 0 to 1.",
    )
    min_area: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Overrides the panoptic step's minimum area for this category; share of the "
        "image, 0 to 1.",
    )

    @model_validator(mode="after")
    def _name_is_the_default_prompt(self) -> Self:
        if not self.prompts:
            object.__setattr__(self, "prompts", (self.name,))
        return self


class Categories(BaseModel):
    """Things and stuff, in the order the user gave them. Ids are 1 to n, things first.

    Models, keys and stored records only ever see `canonical` categories.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    things: tuple[Category, ...] = ()
    stuff: tuple[Category, ...] = ()

    @classmethod
    def from_words(cls, things: Iterable[str], stuff: Iterable[str]) -> Categories:
        """Categories from plain words; blanks around words go, empty words are left out.

        Raises:
            BadCategories: a word is given twice, or as both a thing and stuff.
        """
        return cls.checked(
            [Category(name=word, isthing=True) for word in _clean(things)],
            [Category(name=word, isthing=False) for word in _clean(stuff)],
        )

    @classmethod
    def checked(cls, things: Sequence[Category], stuff: Sequence[Category]) -> Categories:
        """Categories from two lists.

        Raises:
            BadCategories: a name is given twice, or as both a thing and stuff; a name or prompt is
                blank; a category stands in the wrong list.
        """
        seen: dict[str, bool] = {}
        for category in (*things, *stuff):
            if not all(word.strip() for word in (category.name, *category.prompts)):
                raise BadCategories(
                    f"category {category.name!r} has an empty name or prompt; "
                    "give it a word or leave it out"
                )
            name = category.name.casefold()
            if name in seen:
                both = seen[name] != category.isthing
                raise BadCategories(
                    f"category {category.name!r} is named "
                    + ("both as a thing and as stuff" if both else "twice")
                    + "; name it once, in one of the two lists"
                )
            seen[name] = category.isthing
        for category in (*things, *stuff):
            if category.isthing and category.background_threshold is not None:
                raise BadCategories(
                    f"thing category {category.name!r} has a background_threshold, which only "
                    "stuff has; give it a box_threshold or leave it out"
                )
            if category.isthing != (category in things):
                raise BadCategories(
                    f"category {category.name!r} is marked as "
                    + (
                        "a thing but listed as stuff"
                        if category.isthing
                        else "stuff but listed as a thing"
                    )
                    + "; move it to the other list"
                )
        return cls(things=tuple(things), stuff=tuple(stuff))

    @property
    def canonical(self) -> Categories:
        """The same categories with the same names, in the order that keys and records know.

        Things first, then stuff, each sorted by its prompts, which are sorted as well and named
        once each; so neither the order of words nor that of synonyms has a meaning, and a name
        has none. What has equal prompts is told apart by its own thresholds.
        """
        return Categories(
            things=tuple(sorted(map(_sorted_prompts, self.things), key=_place)),
            stuff=tuple(sorted(map(_sorted_prompts, self.stuff), key=_place)),
        )

    @property
    def ordered(self) -> tuple[Category, ...]:
        """All categories; the id of the i-th (from 0) is i + 1."""
        return self.things + self.stuff

    def id_of(self, category: Category) -> int:
        """The id of a category of this list."""
        return self.ordered.index(category) + 1

    def by_id(self, category_id: int) -> Category:
        """The category with this id, 1 to n."""
        return self.ordered[category_id - 1]

    @property
    def thing_prompts(self) -> tuple[str, ...]:
        """Every prompt of every thing, in order."""
        return tuple(prompt for category in self.things for prompt in category.prompts)

    @property
    def stuff_prompts(self) -> tuple[str, ...]:
        """Every prompt of every stuff category, in order."""
        return tuple(prompt for category in self.stuff for prompt in category.prompts)

    @property
    def prompt_category_ids(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The category id of each of `thing_prompts` and of each of `stuff_prompts`."""
        things = [i + 1 for i, category in enumerate(self.things) for _ in category.prompts]
        first = len(self.things) + 1
        stuff = [first + i for i, category in enumerate(self.stuff) for _ in category.prompts]
        return tuple(things), tuple(stuff)


def _sorted_prompts(category: Category) -> Category:
    return category.model_copy(update={"prompts": tuple(sorted(set(category.prompts)))})


def _place(category: Category) -> tuple[object, ...]:
    """What a category is sorted by; its name comes last, and only tells equal categories apart."""
    own = (category.box_threshold, category.background_threshold, category.min_area)
    return category.prompts, tuple(-1.0 if value is None else value for value in own), category.name


def _clean(words: Iterable[str]) -> list[str]:
    return [stripped for word in words if (stripped := " ".join(word.split()))]
