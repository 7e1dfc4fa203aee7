"""The words of a request, as a form or a file gives them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from zeropan.segmentation.categories import Categories, Category


class CategoryLists(BaseModel):
    """The words to look for: plain words, or categories with prompts and thresholds."""

    things: list[str | Category] = Field(
        default_factory=list, description="Countable objects, such as nigiri or cup."
    )
    stuff: list[str | Category] = Field(
        default_factory=list, description="Surfaces and materials, such as wood or cloth."
    )

    def resolved(self) -> Categories:
        """The checked categories."""

        def category(item: str | Category, isthing: bool) -> Category:
            if isinstance(item, Category):
                return item
            return Category(name=" ".join(item.split()), isthing=isthing)

        return Categories.checked(
            [category(item, True) for item in self.things],
            [category(item, False) for item in self.stuff],
        )
