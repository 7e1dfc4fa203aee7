"""Boxes and points to masks, for every segmenter of the SAM family.

A subclass says how its features are made ready, how prompts in the frame of its input become
logits, and how these are enlarged; here is what all share: checks, frames, filling up point sets of
different lengths, and decoding as many prompts at once as memory allows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zeropan.errors import RecordError
from zeropan.models.chunks import in_chunks
from zeropan.models.protocols import MaskPredictions
from zeropan.segmentation.records import Bool, Float32, ImageEmbedding, UInt8

PROMPTS_AT_ONCE = 16
MASK_PIXELS_AT_ONCE = 1 << 26
"""Logits of one pass at the original size: 256 MiB in float32."""

Decoded = tuple[Tensor, Tensor]
"""Logits float (n, k, h, w) and the predicted quality of each, float (n, k)."""


class PromptedSegmenter(ABC):
    """Turns boxes and points into masks; the half of a `PromptableSegmenter` that all share."""

    device: str
    padding_label: int
    """The label of a point that only fills up a shorter set."""

    @abstractmethod
    def prepare(self, embedding: ImageEmbedding) -> Any:
        """The features as the decoder wants them, on the device.

        Raises:
            RecordError: they are not of this model.
        """

    @abstractmethod
    def decode_boxes(self, features: Any, corners: Tensor, *, multimask: bool) -> Decoded:
        """Boxes float32 (n, 4) in the frame of the input."""

    @abstractmethod
    def decode_points(
        self, features: Any, points: Tensor, labels: Tensor, *, multimask: bool
    ) -> Decoded:
        """Point sets float32 (n, p, 2) in the frame of the input; labels int32 (n, p)."""

    @abstractmethod
    def enlarge(self, logits: Tensor, embedding: ImageEmbedding) -> Tensor:
        """Logits (n, k, h, w) at the size of the original image."""

    @abstractmethod
    def masks_of_a_prompt(self) -> int:
        """How many masks a prompt has with `multimask`."""

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

        features = self.prepare(embedding)

        def decode(part: slice) -> Decoded:
            corners = self.to_input(boxes[part].reshape(-1, 2), embedding).view(-1, 4)
            return self.decode_boxes(features, corners, multimask=multimask)

        return self._collect(embedding, len(boxes), decode, multimask, mask_threshold)

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

        features = self.prepare(embedding)

        def decode(part: slice) -> Decoded:
            sets, marks = points_xy[part], labels[part]
            longest = max(len(points) for points in sets)
            padded = np.zeros((len(sets), longest, 2), dtype=np.float32)
            padded_labels = np.full((len(sets), longest), self.padding_label, dtype=np.int32)
            for row, (points, own) in enumerate(zip(sets, marks, strict=True)):
                padded[row, : len(points)] = points
                padded_labels[row, : len(points)] = own
            coords = self.to_input(padded.reshape(-1, 2), embedding).view(padded.shape)
            known = torch.from_numpy(padded_labels).to(self.device)
            return self.decode_points(features, coords, known, multimask=multimask)

        return self._collect(embedding, len(points_xy), decode, multimask, mask_threshold)

    def to_input(self, xy: Float32, embedding: ImageEmbedding) -> Tensor:
        """Points (n, 2) of the original image in the frame of the resized one."""
        (height, width), (h, w) = embedding.image_size, embedding.input_size
        scaled = xy.astype(np.float64) * (w / width, h / height)
        return torch.from_numpy(scaled.astype(np.float32)).to(self.device)

    @torch.inference_mode()
    def _collect(
        self,
        embedding: ImageEmbedding,
        count: int,
        decode: Callable[[slice], Decoded],
        multimask: bool,
        mask_threshold: float,
    ) -> MaskPredictions:
        """Decode `count` prompts, as many at once as memory allows."""
        outputs = self.masks_of_a_prompt() if multimask else 1
        masks: Bool = np.zeros((count, outputs, *embedding.image_size), dtype=np.bool_)
        quality = np.zeros((count, outputs), dtype=np.float32)

        def fill(part: slice) -> None:
            logits, iou = decode(part)
            full = self.enlarge(logits, embedding)
            masks[part] = (full > mask_threshold).cpu().numpy()
            quality[part] = iou.float().cpu().numpy()

        pixels = max(masks[:1].size, 1)
        at_once = max(1, min(PROMPTS_AT_ONCE, MASK_PIXELS_AT_ONCE // pixels))
        for _ in in_chunks(count, at_once, fill):
            pass
        return MaskPredictions(masks=masks, quality=quality)


def check_image(image: UInt8) -> None:
    """Refuse what is not uint8 (H, W, 3).

    Raises:
        RecordError: the image has another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise RecordError(f"image: expected (h, w, 3) uint8, got {image.shape} {image.dtype.name}")
