"""Boxes and points to masks, for every segmenter of the SAM family.

A subclass says how its features are made ready, how prompts in the frame of its input become
logits, and how these are enlarged; here is what all share: checks, frames, and decoding.

Prompts are decoded one at a time. In a batch, the last bits of a prompt's mask and quality depend
on how many others there are; alone, nothing is padded and nothing can depend on anything. It costs
no more on a CPU for a published model, and a third more for 40 boxes of the tiny one
(docs/benchmarks.md).
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
from zeropan.models.memory import a_prompt_fits
from zeropan.models.protocols import MaskPredictions
from zeropan.segmentation.records import Bool, Float32, ImageEmbedding, UInt8

Decoded = tuple[Tensor, Tensor]
"""Logits float (n, k, h, w) and the predicted quality of each, float (n, k)."""


class PromptedSegmenter(ABC):
    """Turns boxes and points into masks; the half of a `PromptableSegmenter` that all share."""

    device: str

    @abstractmethod
    def prepare(self, embedding: ImageEmbedding) -> Any:
        """The features as the decoder wants them, on the device.

        Raises:
            RecordError: they are not of this model.
        """

    @abstractmethod
    def decode_boxes(self, features: Any, corners: Tensor, *, multimask: bool) -> Decoded:
        """Boxes float32 (n, 4) in the frame of the input; n is 1 here."""

    @abstractmethod
    def decode_points(
        self, features: Any, points: Tensor, labels: Tensor, *, multimask: bool
    ) -> Decoded:
        """Point sets float32 (n, p, 2) in the frame of the input, labels int32 (n, p); n is 1."""

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

        def decode(number: int) -> Decoded:
            corners = self.to_input(boxes[number].reshape(-1, 2), embedding).view(1, 4)
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
        """Masks of N point sets, each whatever the others are.

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

        def decode(number: int) -> Decoded:
            coords = self.to_input(points_xy[number], embedding)[None]
            marks = torch.tensor(labels[number], dtype=torch.int32, device=self.device)[None]
            return self.decode_points(features, coords, marks, multimask=multimask)

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
        decode: Callable[[int], Decoded],
        multimask: bool,
        mask_threshold: float,
    ) -> MaskPredictions:
        """Decode `count` prompts, one at a time."""
        outputs = self.masks_of_a_prompt() if multimask else 1
        masks: Bool = np.zeros((count, outputs, *embedding.image_size), dtype=np.bool_)
        quality = np.zeros((count, outputs), dtype=np.float32)
        for number in range(count):
            with a_prompt_fits():
                logits, iou = decode(number)
                full = self.enlarge(logits, embedding)[0]
                masks[number] = (full > mask_threshold).cpu().numpy()
                quality[number] = iou[0].float().cpu().numpy()
        return MaskPredictions(masks=masks, quality=quality)


def check_image(image: UInt8) -> None:
    """Refuse what is not uint8 (H, W, 3).

    Raises:
        RecordError: the image has another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise RecordError(f"image: expected (h, w, 3) uint8, got {image.shape} {image.dtype.name}")
