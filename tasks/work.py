"""What a task is given, and what it gives back. Both are small and travel as JSON."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zeropan.choices import PrecisionChoice
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig
from zeropan.storage.keys import ArtifactKey

Stage = Literal[
    "embed_image",
    "ground_things",
    "score_stuff",
    "things",
    "stuff_regions",
    "stuff_masks",
    "panoptic",
]
PERCEPTION: tuple[Stage, ...] = ("embed_image", "ground_things", "score_stuff")
"""Model outputs that no threshold has touched: expensive, and stored before thresholds are."""
STEPS: tuple[Stage, ...] = ("things", "stuff_regions", "stuff_masks", "panoptic")
"""The four steps of the product."""
STAGES: tuple[Stage, ...] = PERCEPTION + STEPS

How = Literal["computed", "cached"]
KEY_RULE = 1
"""Which rule the keys are made by; recorded with every run, so that its results are found."""


class ImageRef(BaseModel):
    """An image: where its bytes are, and which bytes they are."""

    model_config = ConfigDict(frozen=True)

    location: str
    """A local path or an fsspec URL; never a part of a key."""
    sha256: str
    """Hex digest of the file's bytes."""


def image_digest(data: bytes) -> str:
    """The digest that names an image in every key: SHA-256 of its file's bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


class ImageWork(BaseModel):
    """Everything that the tasks of one image need."""

    model_config = ConfigDict(frozen=True)

    image: ImageRef
    categories: Categories
    config: PipelineConfig
    preset: str
    models: dict[str, dict[str, str]]
    """Architecture and sha256 of each of the preset's models, by role."""
    device: str
    precision: PrecisionChoice = "auto"
    store_url: str
    max_pixels: int
    digests: dict[Stage, str]
    """The digest of each stage's artifact, known before anything runs."""
    force: tuple[Stage, ...] = ()
    """Stages to compute even if their artifacts are stored."""

    def key(self, stage: Stage) -> ArtifactKey:
        """The key of a stage's artifact."""
        return ArtifactKey(stage=stage, digest=self.digests[stage])


class StageOutcome(BaseModel):
    """A reference to a stage's stored artifact, and how it came to be."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    digest: str
    manifest_sha256: str
    how: How
    """computed: the body ran; cached: the store or Prefect's cache had it."""
    seconds: float
    """Seconds that this run spent on the stage's body; 0 when Prefect's cache answered."""
    result: dict[str, float]
    """Counts and shares that say what came out, such as {"instances": 7}."""
    mended: bool = False
    """Whether an artifact was stored under the key and its bytes were no longer those written."""
