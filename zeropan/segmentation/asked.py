"""What is asked of an image. Imports no model, so that a plan is cheap."""

from __future__ import annotations

from dataclasses import dataclass

from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig


@dataclass(frozen=True)
class Asked:
    """All that the four steps know besides records."""

    categories: Categories
    """Canonical; `Asked.of` makes them so."""
    config: PipelineConfig
    image_sha256: str = ""
    """What the random points are seeded with: the image's digest, so that images differ."""

    @classmethod
    def of(cls, categories: Categories, config: PipelineConfig, image_sha256: str = "") -> Asked:
        """What is asked, with the words in any order."""
        return cls(categories.canonical, config, image_sha256)
