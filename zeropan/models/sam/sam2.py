"""SAM 2.1 in transformers' implementation, behind `PromptableSegmenter`.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024.

Frames: a picture of H x W pixels is stretched to the model's square, so there is no padding. Its
features are a pyramid; the finer levels are folded into channels of the coarsest grid, which loses
nothing, so that an embedding stays one array.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import resize, to_pil_image, to_tensor

from zeropan.choices import Precision
from zeropan.errors import RecordError
from zeropan.models.folders import folder_identity
from zeropan.models.grounding_dino.grounding import normalise
from zeropan.models.precision import encoder_precision
from zeropan.models.protocols import ModelIdentity
from zeropan.models.sam.prompted import Decoded, PromptedSegmenter, check_image
from zeropan.models.transformers_loading import load_pretrained
from zeropan.segmentation.records import ImageEmbedding, UInt8

_VIDEO = ("memory_", "object_pointer", "no_object", "occlusion", "temporal", "mask_downsample")
"""Beginnings of keys that only the tracking of videos uses; the published files hold them."""


class Sam2Segmenter(PromptedSegmenter):
    """Turns boxes and points into masks with SAM 2.1; a `PromptableSegmenter`."""

    def __init__(
        self,
        model: Any,
        identity: ModelIdentity,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self._model = model.to(device)
        self._identity = identity
        self.device = device
        self._precision: Precision = precision
        self._side = int(model.prompt_encoder.input_image_size)
        self._grids = [tuple(size) for size in model.backbone_feature_sizes]

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", precision: Precision = "fp32") -> Self:
        """Load a folder with config.json and model.safetensors.

        Raises:
            WeightsMissing: a file is not there.
            WeightsDamaged: the files do not fit each other.
        """
        from transformers import Sam2Model

        model = load_pretrained(Sam2Model, folder, ignored=_VIDEO)
        return cls(model, folder_identity(folder), device=device, precision=precision)

    @property
    def identity(self) -> ModelIdentity:
        """The architecture and the digest of the folder's files."""
        return self._identity

    @torch.inference_mode()
    def embed(self, image: UInt8) -> ImageEmbedding:
        """Run the image encoder once.

        Args:
            image: uint8 (H, W, 3), RGB, of any size.

        Raises:
            RecordError: the image has another shape or dtype.
        """
        check_image(image)
        side = (self._side, self._side)
        square = resize(to_pil_image(np.ascontiguousarray(image)), list(side))
        pixels = normalise(to_tensor(square))[None].to(self.device)
        with encoder_precision(self.device, self._precision):
            levels = self._model.get_image_embeddings(pixels)
        rows = self._grids[-1][0]
        folded = [
            functional.pixel_unshuffle(level.float(), level.shape[-2] // rows) for level in levels
        ]
        return ImageEmbedding(
            features=torch.cat(folded, dim=1)[0].cpu().numpy(),
            input_size=side,
            image_size=(image.shape[0], image.shape[1]),
        )

    def prepare(self, embedding: ImageEmbedding) -> list[Tensor]:
        """The levels of the pyramid, finest first, each float32 (1, C, h, w).

        Raises:
            RecordError: they are not of this model.
        """
        decoder = self._model.mask_decoder
        width = self._model.hidden_dim
        sizes = [decoder.conv_s0.out_channels, decoder.conv_s1.out_channels, width]
        factors = [grid[0] // self._grids[-1][0] for grid in self._grids]
        channels = [size * factor**2 for size, factor in zip(sizes, factors, strict=True)]
        expected = (sum(channels), *self._grids[-1])
        if embedding.features.shape != expected:
            raise RecordError(
                f"features: expected {expected} of this model, got {embedding.features.shape}"
            )
        whole = torch.tensor(embedding.features, device=self.device)[None]
        parts = torch.split(whole, channels, dim=1)
        return [
            functional.pixel_shuffle(part, factor)
            for part, factor in zip(parts, factors, strict=True)
        ]

    def decode_boxes(self, features: list[Tensor], corners: Tensor, *, multimask: bool) -> Decoded:
        """Boxes float32 (n, 4) in the frame of the input."""
        return self._decode(features, multimask, input_boxes=corners[None])

    def decode_points(
        self, features: list[Tensor], points: Tensor, labels: Tensor, *, multimask: bool
    ) -> Decoded:
        """Point sets float32 (n, p, 2) in the frame of the input; labels int32 (n, p)."""
        return self._decode(
            features, multimask, input_points=points[None], input_labels=labels[None]
        )

    def _decode(self, features: list[Tensor], multimask: bool, **prompts: Tensor) -> Decoded:
        found = self._model(image_embeddings=list(features), multimask_output=multimask, **prompts)
        return found.pred_masks[0], found.iou_scores[0]

    def enlarge(self, logits: Tensor, embedding: ImageEmbedding) -> Tensor:
        """Logits (n, k, h, w) at the size of the original image."""
        return functional.interpolate(
            logits.float(), size=embedding.image_size, mode="bilinear", align_corners=False
        )

    def masks_of_a_prompt(self) -> int:
        """How many masks a prompt has with `multimask`."""
        return int(self._model.mask_decoder.num_multimask_outputs)
