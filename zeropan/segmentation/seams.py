"""The three seams behind which the models stand, so that the algorithm depends on none of them.

Each method that runs a backbone returns a record that no threshold has touched, so that it can be
stored and thresholded again at will. Prompting a segmenter with a stored embedding is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zeropan.segmentation.prompting import MaskPrompter
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    StuffLogits,
    UInt8,
)


@dataclass(frozen=True)
class ModelIdentity:
    """What tells one model's results from another's."""

    architecture: str
    """The package's name of the architecture, such as "segment-anything vit_b"."""
    sha256: str
    """Hex digest over the bytes of everything that shapes a result: weights, vocabulary, config."""


class BoxDetector(Protocol):
    """Finds boxes for words."""

    @property
    def identity(self) -> ModelIdentity:
        """What tells this model's results from another's."""
        ...

    def ground(self, image: UInt8, prompts: Sequence[str]) -> GroundedBoxes:
        """Score every query box against every token of every prompt.

        Args:
            image: uint8 (H, W, 3), RGB.
            prompts: words or phrases; may be empty (the result then has no pass).
        """
        ...


class CoarseTextSegmenter(Protocol):
    """Scores pixels for words."""

    @property
    def identity(self) -> ModelIdentity:
        """What tells this model's results from another's."""
        ...

    def score(self, image: UInt8, prompts: Sequence[str]) -> StuffLogits:
        """Score a coarse grid for every prompt.

        A prompt's plane does not depend, to the last bit, on the other prompts.

        Args:
            image: uint8 (H, W, 3), RGB.
            prompts: words or phrases; may be empty (the result then has no plane).
        """
        ...


class PromptableSegmenter(MaskPrompter, Protocol):
    """Embeds an image, and turns boxes and points into masks."""

    @property
    def identity(self) -> ModelIdentity:
        """What tells this model's results from another's."""
        ...

    def embed(self, image: UInt8) -> ImageEmbedding:
        """Run the image encoder once. image: uint8 (H, W, 3), RGB."""
        ...


class Models(Protocol):
    """The three models of a preset; each may be loaded when it is first asked for."""

    @property
    def detector(self) -> BoxDetector:
        """Finds boxes for words."""
        ...

    @property
    def segmenter(self) -> PromptableSegmenter:
        """Embeds an image, and turns boxes and points into masks."""
        ...

    @property
    def text_segmenter(self) -> CoarseTextSegmenter:
        """Scores pixels for words."""
        ...
