"""Washes of colour, contours and hatching over a picture; every function returns a new picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageFilter

from zeropan.pictures.palette import UNLABELLED, Colour
from zeropan.segmentation.records import Bool, Float32, Int32, UInt8


def washed(picture: UInt8, colours: UInt8, strength: Float32) -> UInt8:
    """`colours` over `picture`, both uint8 (h, w, 3); `strength` float32 (h, w) in [0, 1]."""
    weight = strength[..., None]
    mixed = picture * (1 - weight) + colours * weight
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def grey(picture: UInt8, *, keep: float = 0.0, light: float = 1.0) -> UInt8:
    """The picture without its colours.

    Args:
        picture: uint8 (h, w, 3).
        keep: share of the colour that stays, 0 to 1.
        light: factor on the brightness.
    """
    image = Image.fromarray(picture)
    without = image.convert("L").convert("RGB")
    mixed = Image.blend(without, image, keep)
    return np.asarray(mixed.point(lambda value: value * light), dtype=np.uint8).copy()


def colour_map(labels: Int32, colours: Mapping[int, Colour]) -> UInt8:
    """Each pixel's colour, uint8 (h, w, 3); labels without a colour become the unlabelled grey."""
    result = np.empty((*labels.shape, 3), np.uint8)
    result[:] = UNLABELLED
    # Ids may be sparse and large, so a table from 0 to the largest would not do.
    known = np.array(sorted(colours), np.int64)
    if known.size:
        places = np.minimum(np.searchsorted(known, labels), known.size - 1)
        rgb = np.array([colours[label] for label in known.tolist()], np.uint8)
        result = np.where((known[places] == labels)[..., None], rgb[places], result)
    return result


def hatched(picture: UInt8, where: Bool, *, pitch: int) -> UInt8:
    """Diagonal lines over the pixels that nothing is known about; `pitch` pixels apart."""
    if not where.any():
        return picture
    dark = grey(picture, keep=0.15, light=0.62)
    rows, columns = np.arange(where.shape[0]), np.arange(where.shape[1])
    phase = ((rows[:, None] + columns) % pitch) / pitch
    line = np.clip(1 - np.abs(phase - 0.5) * pitch / 1.2, 0, 1).astype(np.float32)
    lines = np.full_like(picture, 190)
    marked = washed(dark, lines, line * 0.38)
    return np.where(where[..., None], marked, picture)


def borders(labels: Int32, *, width: int) -> Bool:
    """Pixels at the border between two labels; lines are about `width` pixels wide."""
    edge = np.zeros(labels.shape, np.bool_)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return grown(edge, (width - 2) // 2)


def contour(mask: Bool, *, width: int) -> Bool:
    """The rim of a mask, inside of it, `width` pixels wide."""
    inner = _filtered(mask, ImageFilter.MinFilter(2 * max(1, width) + 1))
    rim = mask & ~inner
    # The filter repeats the image's edge: a mask that leaves the image has no rim there.
    return rim


def grown(mask: Bool, by: int) -> Bool:
    """The mask and everything within `by` pixels of it (a square neighbourhood)."""
    return mask if by <= 0 else _filtered(mask, ImageFilter.MaxFilter(2 * by + 1))


def stroked(picture: UInt8, line: Bool, colours: UInt8 | Colour, *, strength: float) -> UInt8:
    """A line with soft edges drawn over the picture.

    Args:
        picture: uint8 (h, w, 3).
        line: bool (h, w).
        colours: one colour, or one for each pixel, uint8 (h, w, 3).
        strength: 0 to 1.
    """
    if not line.any():
        return picture
    image = Image.fromarray(line.astype(np.uint8) * 255)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32) / 255
    if isinstance(colours, tuple):
        colours = np.broadcast_to(np.array(colours, np.uint8), picture.shape)
    return washed(picture, colours, (np.clip(soft * 1.25, 0, 1) * strength).astype(np.float32))


def _filtered(mask: Bool, kernel: ImageFilter.Filter) -> Bool:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(kernel)) >= 128
