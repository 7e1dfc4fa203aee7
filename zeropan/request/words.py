"""The words of a request: plain words, or categories with prompts and thresholds of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from zeropan.errors import BadCategories
from zeropan.segmentation.categories import Categories, Category


class Words(BaseModel):
    """What to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    things: tuple[str | Category, ...] = Field(
        default=(),
        description="Countable objects: words such as cup, or categories with prompts and "
        "thresholds of their own.",
    )
    stuff: tuple[str | Category, ...] = Field(
        default=(), description="Surfaces and materials: words such as wood, or categories."
    )

    @field_validator("things", mode="before")
    @classmethod
    def _things(cls, items: Any) -> Any:
        return _tidy(items, isthing=True)

    @field_validator("stuff", mode="before")
    @classmethod
    def _stuff(cls, items: Any) -> Any:
        return _tidy(items, isthing=False)

    @model_validator(mode="after")
    def _checked(self) -> Words:
        _ = self.categories
        return self

    @cached_property
    def categories(self) -> Categories:
        """The checked categories, in the order of the words.

        Raises:
            BadCategories: a word twice, in both lists, or empty.
        """
        return Categories.checked(
            [_category(item, isthing=True) for item in self.things],
            [_category(item, isthing=False) for item in self.stuff],
        )

    @classmethod
    def of(cls, categories: Categories) -> Words:
        """The words of categories, each as short as it can be said."""
        return cls(
            things=tuple(_short(category) for category in categories.things),
            stuff=tuple(_short(category) for category in categories.stuff),
        )


def split_words(text: str | None) -> list[str] | None:
    """Comma-separated words to a list; None stays None."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _tidy(items: Any, *, isthing: bool) -> Any:
    """Words without blanks around them, categories that say which list they stand in."""
    if isinstance(items, str | Mapping) or not isinstance(items, Sequence):
        raise BadCategories(f"{items!r} is not a list of words; write [word, word]")
    found: list[Any] = []
    for item in items:
        if isinstance(item, Mapping):
            found.append({"isthing": isthing, **item})
        elif isinstance(item, Category):
            found.append(item)
        elif text := " ".join(str(item).split()):
            found.append(text)
    return found


def _category(item: str | Category, *, isthing: bool) -> Category:
    return item if isinstance(item, Category) else Category(name=item, isthing=isthing)


def _short(category: Category) -> str | Category:
    plain = Category(name=category.name, isthing=category.isthing)
    return category.name if category == plain else category
