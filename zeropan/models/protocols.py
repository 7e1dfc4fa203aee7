"""The seams that the adapters fulfil, under the name by which `models` knows them."""

from zeropan.segmentation.prompting import MaskPredictions
from zeropan.segmentation.seams import (
    BoxDetector,
    CoarseTextSegmenter,
    ModelIdentity,
    Models,
    PromptableSegmenter,
)

__all__ = [
    "BoxDetector",
    "CoarseTextSegmenter",
    "MaskPredictions",
    "ModelIdentity",
    "Models",
    "PromptableSegmenter",
]
