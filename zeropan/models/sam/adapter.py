"""Segment Anything as a promptable segmenter.

Kirillov et al., "Segment Anything", ICCV 2023, in the implementation of the package
segment-anything. Prompts and answers are those of its `SamPredictor`; unlike it, this adapter
holds no image: the embedding is a value that may be stored and prompted again later.

Frames: a picture of H x W pixels is resized, keeping its shape, so that its long side is the
model's size S, to (h, w); padding below and on the right makes it S x S. Masks come back at a
quarter of the padded square, are enlarged to S x S, cut to (h, w), and only then stretched to
(H, W), so that no rounding of the padding can shift them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torchvision.transforms.functional import resize, to_pil_image

from zeropan.choices import Precision
from zeropan.errors import RecordError, WeightsDamaged
from zeropan.models.folders import folder_identity, load_weights, read_config
from zeropan.models.precision import encoder_precision
from zeropan.models.protocols import ModelIdentity
from zeropan.models.sam.network import SamArchitecture, build_published_sam, build_sam
from zeropan.models.sam.prompted import Decoded, PromptedSegmenter, check_image
from zeropan.segmentation.records import ImageEmbedding, UInt8


def input_size_of(height: int, width: int, side: int) -> tuple[int, int]:
    """(h, w) of a picture resized so that its long side is `side`; the short one is at least 1.

    The package's own `ResizeLongestSide` rounds very flat pictures to a side of 0.
    """
    scale = side / max(height, width)
    return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


class SamSegmenter(PromptedSegmenter):
    """Turns boxes and points into masks with Segment Anything; a `PromptableSegmenter`."""

    def __init__(
        self,
        sam: Sam,
        identity: ModelIdentity,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self._precision: Precision = precision
        self._sam = sam.eval().requires_grad_(False).to(device)
        self.device = device
        self._identity = identity
        self._side = int(sam.image_encoder.img_size)

    @classmethod
    def load(
        cls, directory: Path, *, device: str = "cpu", precision: Precision = "fp32"
    ) -> SamSegmenter:
        """Load a folder with config.json and model.safetensors.

        The config names a published variant ("variant": "vit_b", "vit_l" or "vit_h") or gives the
        numbers of a `SamArchitecture` under "network".

        Raises:
            WeightsMissing: a file is not there.
            WeightsDamaged: the config cannot be understood, or the weights do not fit it.
        """
        config = read_config(directory)
        try:
            if "variant" in config:
                sam = build_published_sam(str(config["variant"]))
            else:
                sam = build_sam(SamArchitecture.from_mapping(config.get("network", {})))
        except ValueError as error:
            raise WeightsDamaged(
                f"{directory / 'config.json'} describes no SAM ({error}); get the file again"
            ) from error
        load_weights(sam, directory)
        return cls(sam, folder_identity(directory), device=device, precision=precision)

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
        height, width = image.shape[:2]
        input_size = input_size_of(height, width, self._side)
        resized = np.array(resize(to_pil_image(np.ascontiguousarray(image)), list(input_size)))
        pixels = torch.from_numpy(resized).permute(2, 0, 1)[None].to(self.device)
        with encoder_precision(self.device, self._precision):
            features = self._sam.image_encoder(self._sam.preprocess(pixels))
        return ImageEmbedding(
            features=features[0].float().cpu().numpy(),
            input_size=input_size,
            image_size=(height, width),
        )

    def prepare(self, embedding: ImageEmbedding) -> Tensor:
        """The features float32 (1, C, h, w) on the device.

        Raises:
            RecordError: they are not of this model.
        """
        encoder = self._sam.prompt_encoder
        expected = (encoder.embed_dim, *encoder.image_embedding_size)
        if embedding.features.shape != expected:
            raise RecordError(
                f"features: expected {expected} of this model, got {embedding.features.shape}"
            )
        return torch.tensor(embedding.features, device=self.device)[None]

    def decode_boxes(self, features: Tensor, corners: Tensor, *, multimask: bool) -> Decoded:
        """Boxes float32 (n, 4) in the frame of the input."""
        sparse = self._sam.prompt_encoder(points=None, boxes=corners, masks=None)[0]
        return self._decode(features, sparse, multimask)

    def decode_points(
        self, features: Tensor, points: Tensor, labels: Tensor, *, multimask: bool
    ) -> Decoded:
        """Point sets float32 (n, p, 2) in the frame of the input; labels int32 (n, p)."""
        sparse = self._sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)[0]
        return self._decode(features, sparse, multimask)

    def _decode(self, features: Tensor, sparse: Tensor, multimask: bool) -> Decoded:
        encoder = self._sam.prompt_encoder
        dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(
            len(sparse), -1, *encoder.image_embedding_size
        )
        logits, iou = self._sam.mask_decoder(
            image_embeddings=features,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        return logits, iou

    def enlarge(self, logits: Tensor, embedding: ImageEmbedding) -> Tensor:
        """Logits (n, k, h, w) at the size of the original image."""
        full: Tensor = self._sam.postprocess_masks(
            logits, embedding.input_size, embedding.image_size
        )
        return full

    def masks_of_a_prompt(self) -> int:
        """How many masks a prompt has with `multimask`."""
        return int(self._sam.mask_decoder.num_multimask_outputs)
