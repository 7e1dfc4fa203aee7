"""What a stage is given, and what it gives back. Both are small and travel as JSON."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zeropan.choices import Precision
from zeropan.models.published.components import Role
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.marker import ArtifactRef

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
UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    "embed_image": (),
    "ground_things": (),
    "score_stuff": (),
    "things": ("embed_image", "ground_things"),
    "stuff_regions": ("score_stuff", "things"),
    "stuff_masks": ("embed_image", "stuff_regions"),
    "panoptic": ("things", "stuff_regions", "stuff_masks"),
}
"""The stages whose artifacts a stage reads."""

How = Literal["computed", "cached"]
KEY_RULE = 2
"""Which rule the keys are made by; recorded with every run, so that its results are found."""


class ImageRef(BaseModel):
    """An image: where its bytes are, and which bytes they are."""

    model_config = ConfigDict(frozen=True)

    location: str
    """A local path or an fsspec URL; never a part of a key."""
    sha256: str
    """Hex digest of the file's bytes."""
    decoding: int = 0
    """The version of the decoder, but 0 where all versions give this file the same pixels."""


def image_digest(data: bytes) -> str:
    """The digest that names an image in every key: SHA-256 of its file's bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


class ImageWork(BaseModel):
    """Everything that the stages of one image need."""

    model_config = ConfigDict(frozen=True)

    image: ImageRef
    categories: Categories
    """The canonical categories, with the user's names: what ids in the records mean."""
    config: PipelineConfig
    preset: str
    models: dict[str, dict[str, str]]
    """Architecture and sha256 of each of the preset's models, by role."""
    device: str
    precisions: dict[Role, Precision]
    """The arithmetic of each model's backbone; what the keys say is what is used."""
    store_url: str
    max_pixels: int
    digests: dict[Stage, str]
    """The digest of each stage's key, known before anything runs."""
    word_digests: dict[str, str]
    """The digest of the artifact that score_stuff makes of each stuff prompt."""
    force: tuple[Stage, ...] = ()
    """Stages to compute even if their artifacts are stored."""

    @property
    def asked(self) -> Asked:
        """What the four steps know besides records."""
        return Asked(self.categories, self.config, self.image.sha256)

    def key(self, stage: Stage) -> ArtifactKey:
        """The key of a stage. Under that of score_stuff nothing is stored: see `artifacts`."""
        return ArtifactKey(stage=stage, digest=self.digests[stage])

    def word_key(self, prompt: str) -> ArtifactKey:
        """The key of the artifact that score_stuff makes of a stuff prompt."""
        return ArtifactKey(stage="score_stuff", digest=self.word_digests[prompt])

    def artifacts(self, stage: Stage) -> tuple[ArtifactKey, ...]:
        """The keys under which a stage stores: one, but for score_stuff one a word."""
        if stage == "score_stuff":
            return tuple(self.word_key(prompt) for prompt in self.word_digests)
        return (self.key(stage),)


class StageOutcome(BaseModel):
    """A reference to what a stage has stored, and how it came to be."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    digest: str
    """Of the stage's key."""
    artifacts: dict[str, str]
    """Digest → SHA-256 of the manifest, of every artifact: one, but for score_stuff one a word."""
    how: How
    """computed: the body ran; cached: the store or Prefect's cache had all of it."""
    seconds: float
    """Seconds that this run spent on the stage's body; 0 when Prefect's cache answered."""
    result: dict[str, float]
    """Counts and shares that say what came out, such as {"instances": 7}."""
    computed: int = 0
    """How many of the artifacts this run computed; the others were stored."""
    mended: bool = False
    """Whether an artifact was stored under the key and its bytes were no longer those written."""

    def reused(self) -> StageOutcome:
        """The same, when a later asker is given it instead of having it computed."""
        return self.model_copy(update={"how": "cached", "seconds": 0.0, "computed": 0})

    @property
    def refs(self) -> tuple[ArtifactRef, ...]:
        """References to all that the stage has stored."""
        return tuple(
            ArtifactRef(self.stage, digest, manifest) for digest, manifest in self.artifacts.items()
        )
