"""A promptable segmenter without weights: real answers from plain geometry, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zeropan.segmentation.prompting import MaskPredictions
from zeropan.segmentation.records import Bool, Float32, ImageEmbedding, UInt8


def embed_plainly(image: UInt8) -> ImageEmbedding:
    """The image itself, (3, H, W), stands for its features."""
    features = np.moveaxis(image, 2, 0).astype(np.float32)
    size = (image.shape[0], image.shape[1])
    return ImageEmbedding(np.ascontiguousarray(features), size, size)


class PlainPrompter:
    """A box is answered by the ellipse in it, a point set by the even-coloured areas it hits.

    Of three outputs the first is that answer, the second and third are grown by 1 and 2 pixels;
    their quality falls from 0.9 by 0.1 each.
    """

    def masks_from_boxes(
        self,
        embedding: ImageEmbedding,
        boxes_xyxy: Float32,
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        height, width = embedding.image_size
        y, x = np.mgrid[:height, :width] + 0.5
        masks = [
            ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1
            for x0, y0, x1, y1 in boxes_xyxy.astype(np.float64)
        ]
        return _outputs(masks, embedding.image_size, multimask)

    def masks_from_points(
        self,
        embedding: ImageEmbedding,
        points_xy: Sequence[Float32],
        labels: Sequence[NDArray[np.int32]],
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        masks = []
        for points, signs in zip(points_xy, labels, strict=True):
            mask = np.zeros(embedding.image_size, dtype=np.bool_)
            for (x, y), sign in zip(np.floor(points).astype(int), signs, strict=True):
                same = (embedding.features == embedding.features[:, y, x, None, None]).all(axis=0)
                areas, _ = ndimage.label(same)
                mask[areas == areas[y, x]] = sign == 1
            masks.append(mask)
        return _outputs(masks, embedding.image_size, multimask)


def _outputs(masks: list[Bool], size: tuple[int, int], multimask: bool) -> MaskPredictions:
    first = np.array(masks, dtype=np.bool_).reshape(-1, 1, *size)
    if not multimask:
        return MaskPredictions(first, np.full((len(first), 1), 0.9, dtype=np.float32))
    square = np.ones((1, 1, 3, 3), dtype=np.bool_)
    grown = [first, *(ndimage.binary_dilation(first, square, iterations=n) for n in (1, 2))]
    quality = np.tile(np.array([0.9, 0.8, 0.7], dtype=np.float32), (len(first), 1))
    return MaskPredictions(np.concatenate(grown, axis=1), quality)
