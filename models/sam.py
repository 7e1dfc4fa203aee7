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

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor
from torchvision.transforms.functional import resize, to_pil_image

from models._sam_network import SamArchitecture, build_published_sam, build_sam
from models.chunks import in_chunks
from models.precision import Precision, encoder_precision
from models.protocols import MaskPredictions, ModelIdentity
from models.weights import folder_identity, load_weights, read_config
from segmentation.errors import RecordError, WeightsDamaged
from segmentation.records import Bool, Float32, ImageEmbedding, UInt8

_PROMPTS_AT_ONCE = 16
_MASK_PIXELS_AT_ONCE = 1 << 26
"""Logits of one pass at the original size: 256 MiB in float32."""
_PADDING = -1
"""The label of a point that only fills up a shorter set; segment-anything ignores its place."""


def input_size_of(height: int, width: int, side: int) -> tuple[int, int]:
    """(h, w) of a picture resized so that its long side is `side`; the short one is at least 1.

    The package's own `ResizeLongestSide` rounds very flat pictures to a side of 0.
    """
    scale = side / max(height, width)
    return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


class SamSegmenter:
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
        self._device = device
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
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise RecordError(
                f"image: expected (h, w, 3) uint8, got {image.shape} {image.dtype.name}"
            )
        height, width = image.shape[:2]
        input_size = input_size_of(height, width, self._side)
        resized = np.array(resize(to_pil_image(np.ascontiguousarray(image)), list(input_size)))
        pixels = torch.from_numpy(resized).permute(2, 0, 1)[None].to(self._device)
        with encoder_precision(self._device, self._precision):
            features = self._sam.image_encoder(self._sam.preprocess(pixels))
        return ImageEmbedding(
            features=features[0].float().cpu().numpy(),
            input_size=input_size,
            image_size=(height, width),
        )

    def masks_from_boxes(
        self,
        embedding: ImageEmbedding,
        boxes_xyxy: Float32,
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        """Masks of N boxes.

        Args:
            embedding: what `embed` returned, perhaps long ago.
            boxes_xyxy: float32 (N, 4), pixels of the original image; N may be 0.
            multimask: three masks a prompt instead of one.
            mask_threshold: a pixel belongs to a mask where its logit is greater.

        Raises:
            RecordError: the boxes or the embedding have the wrong shape.
        """
        boxes = np.asarray(boxes_xyxy, dtype=np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise RecordError(f"boxes_xyxy: expected (n, 4) float32, got {boxes.shape}")

        def encode(part: slice) -> Tensor:
            corners = self._to_input(boxes[part].reshape(-1, 2), embedding).view(-1, 4)
            sparse: Tensor = self._sam.prompt_encoder(points=None, boxes=corners, masks=None)[0]
            return sparse

        return self._predict(embedding, len(boxes), encode, multimask, mask_threshold)

    def masks_from_points(
        self,
        embedding: ImageEmbedding,
        points_xy: Sequence[Float32],
        labels: Sequence[NDArray[np.int32]],
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        """Masks of N point sets; sets of different lengths are filled up with label -1.

        Args:
            embedding: what `embed` returned, perhaps long ago.
            points_xy: N arrays, each float32 (P_i, 2), P_i at least 1, x and y in pixels of the
                original image.
            labels: N arrays, each int32 (P_i,): 1 inside the wanted segment, 0 outside.
            multimask: three masks a prompt instead of one.
            mask_threshold: a pixel belongs to a mask where its logit is greater.

        Raises:
            RecordError: points, labels or the embedding have the wrong shape.
        """
        if len(points_xy) != len(labels):
            raise RecordError(
                f"labels: expected one array for each of {len(points_xy)} point sets, "
                f"got {len(labels)}"
            )
        for points, marks in zip(points_xy, labels, strict=True):
            if points.ndim != 2 or points.shape[1] != 2 or len(points) < 1:
                raise RecordError(f"points_xy: expected (n >= 1, 2) float32, got {points.shape}")
            if marks.shape != points.shape[:1]:
                raise RecordError(f"labels: expected {points.shape[:1]} int32, got {marks.shape}")

        def encode(part: slice) -> Tensor:
            sets, marks = points_xy[part], labels[part]
            longest = max(len(points) for points in sets)
            padded = np.zeros((len(sets), longest, 2), dtype=np.float32)
            padded_labels = np.full((len(sets), longest), _PADDING, dtype=np.int32)
            for row, (points, own) in enumerate(zip(sets, marks, strict=True)):
                padded[row, : len(points)] = points
                padded_labels[row, : len(points)] = own
            coords = self._to_input(padded.reshape(-1, 2), embedding).view(padded.shape)
            prompt = (coords, torch.from_numpy(padded_labels).to(self._device))
            sparse: Tensor = self._sam.prompt_encoder(points=prompt, boxes=None, masks=None)[0]
            return sparse

        return self._predict(embedding, len(points_xy), encode, multimask, mask_threshold)

    def _to_input(self, xy: Float32, embedding: ImageEmbedding) -> Tensor:
        """Points (n, 2) of the original image in the frame of the resized one."""
        (height, width), (h, w) = embedding.image_size, embedding.input_size
        scaled = xy.astype(np.float64) * (w / width, h / height)
        return torch.from_numpy(scaled.astype(np.float32)).to(self._device)

    @torch.inference_mode()
    def _predict(
        self,
        embedding: ImageEmbedding,
        count: int,
        encode: Callable[[slice], Tensor],
        multimask: bool,
        mask_threshold: float,
    ) -> MaskPredictions:
        """Decode `count` prompts, as many at once as memory allows."""
        encoder = self._sam.prompt_encoder
        expected = (encoder.embed_dim, *encoder.image_embedding_size)
        if embedding.features.shape != expected:
            raise RecordError(
                f"features: expected {expected} of this model, got {embedding.features.shape}"
            )
        outputs = int(self._sam.mask_decoder.num_multimask_outputs) if multimask else 1
        masks: Bool = np.zeros((count, outputs, *embedding.image_size), dtype=np.bool_)
        quality = np.zeros((count, outputs), dtype=np.float32)
        features = torch.tensor(embedding.features, device=self._device)[None]

        def decode(part: slice) -> None:
            sparse = encode(part)
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
            full = self._sam.postprocess_masks(logits, embedding.input_size, embedding.image_size)
            masks[part] = (full > mask_threshold).cpu().numpy()
            quality[part] = iou.float().cpu().numpy()

        pixels = max(masks[:1].size, 1)
        at_once = max(1, min(_PROMPTS_AT_ONCE, _MASK_PIXELS_AT_ONCE // pixels))
        for _ in in_chunks(count, at_once, decode):
            pass
        return MaskPredictions(masks=masks, quality=quality)
