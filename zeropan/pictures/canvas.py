"""The frame of a picture: the image enlarged or reduced until words on it can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from zeropan.segmentation.records import Bool, Float32, Int32, UInt8

LEAST_LONG_SIDE = 768
MOST_LONG_SIDE = 1600


@dataclass(frozen=True)
class Canvas:
    """A drawing frame; `scale` canvas pixels stand for one pixel of the image."""

    height: int
    width: int
    scale: float

    @classmethod
    def for_size(
        cls,
        height: int,
        width: int,
        *,
        least: int = LEAST_LONG_SIDE,
        most: int = MOST_LONG_SIDE,
    ) -> Canvas:
        """The frame whose longer side is that of the image, brought into [least, most]."""
        longer = max(height, width)
        scale = min(max(longer, least), most) / longer
        return cls(max(1, round(height * scale)), max(1, round(width * scale)), scale)

    @property
    def text_size(self) -> int:
        """A readable font size for this frame; pixels."""
        return max(14, round(max(self.height, self.width) / 48))

    @property
    def line(self) -> int:
        """Width of a contour; pixels."""
        return max(2, round(max(self.height, self.width) / 420))

    def picture(self, image: UInt8) -> UInt8:
        """The image, uint8 (h, w, 3), at this frame's size."""
        return _resized(image, (self.height, self.width), Image.Resampling.BICUBIC)

    def plane(self, values: Float32) -> Float32:
        """A float plane of any grid, stretched smoothly over this frame."""
        image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        size = (self.width, self.height)
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)

    def mask(self, mask: Bool) -> Bool:
        """A mask with smooth edges where it is enlarged; thin parts survive where it is reduced."""
        box = extent(mask)
        enlarged = np.zeros((self.height, self.width), np.bool_)
        if box is not None:
            rows, columns, cover = self._cover(mask, box)
            enlarged[rows, columns] = cover >= 128
        return enlarged

    def labels(self, label_map: Int32) -> Int32:
        """A label map with smooth borders: each pixel goes to the label that covers most of it."""
        if self.scale == 1:
            return label_map
        best = np.zeros((self.height, self.width), np.uint8)
        labels = np.zeros((self.height, self.width), np.int32)
        for label in np.unique(label_map).tolist():
            mask = label_map == label
            box = extent(mask)
            if box is None:
                continue
            rows, columns, cover = self._cover(mask, box)
            wins = cover > best[rows, columns]
            best[rows, columns][wins] = cover[wins]
            labels[rows, columns][wins] = label
        return labels

    def _cover(self, mask: Bool, box: tuple[int, int, int, int]) -> tuple[slice, slice, UInt8]:
        """Coverage 0 to 255 around the mask, and where it lies in the frame."""
        height, width = mask.shape
        margin = 3
        top, bottom = max(0, box[0] - margin), min(height, box[1] + margin)
        left, right = max(0, box[2] - margin), min(width, box[3] + margin)
        y_scale, x_scale = self.height / height, self.width / width
        rows = slice(int(np.floor(top * y_scale)), int(np.ceil(bottom * y_scale)))
        columns = slice(int(np.floor(left * x_scale)), int(np.ceil(right * x_scale)))
        size = (max(1, columns.stop - columns.start), max(1, rows.stop - rows.start))
        image = Image.fromarray(mask[top:bottom, left:right].astype(np.uint8) * 255)
        part = (
            columns.start / x_scale - left,
            rows.start / y_scale - top,
            columns.stop / x_scale - left,
            rows.stop / y_scale - top,
        )
        within = (
            max(0.0, part[0]),
            max(0.0, part[1]),
            min(float(right - left), part[2]),
            min(float(bottom - top), part[3]),
        )
        cover = image.resize(size, Image.Resampling.BILINEAR, box=within)
        if self.scale > 1:
            # Enlarged pixels are stairs. A blur of less than a pixel of the image rounds them off
            # and keeps lines of one pixel.
            cover = cover.filter(ImageFilter.GaussianBlur(0.6 * self.scale))
        return rows, columns, np.asarray(cover)


def extent(mask: Bool) -> tuple[int, int, int, int] | None:
    """First row, end row, first column, end column of a mask; None for an empty one."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return top, bottom, int(columns[0]), int(columns[-1]) + 1


def _resized(image: UInt8, size: tuple[int, int], kernel: Image.Resampling) -> UInt8:
    if image.shape[:2] == size:
        return image.copy()
    resized = Image.fromarray(np.ascontiguousarray(image)).resize((size[1], size[0]), kernel)
    return np.asarray(resized, dtype=np.uint8).copy()
