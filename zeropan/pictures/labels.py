"""Words on the picture: small tags, each placed where its segment has room for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from zeropan.pictures.canvas import extent
from zeropan.pictures.fonts import spelled
from zeropan.pictures.palette import Colour, ink_on
from zeropan.segmentation.records import Bool, Float32, UInt8

_SHARP = 4
_GRID = 4


@dataclass(frozen=True)
class Label:
    """A word for one segment."""

    text: str
    colour: Colour
    mask: Bool
    """bool (h, w), in the picture's frame."""
    instead: str = "?"
    """Written when no font can show the text."""


def labelled(picture: UInt8, labels: Sequence[Label], *, size: int) -> UInt8:
    """The picture with a tag on each segment that has room for one; larger segments come first.

    Tags never overlap each other. A segment that is smaller than its tag gets none: the legend
    names it.

    Args:
        picture: uint8 (h, w, 3).
        labels: what to write.
        size: font size; pixels.
    """
    canvas = Image.fromarray(picture)
    height, width = picture.shape[:2]
    occupied = np.zeros((height, width), np.bool_)
    order = sorted(range(len(labels)), key=lambda i: -int(labels[i].mask.sum()))
    for label in (labels[i] for i in order):
        sign = tag(label.text, label.colour, size=size, instead=label.instead)
        place = _room(label.mask, occupied, sign.height, sign.width)
        if place is None:
            continue
        top, left = place
        canvas.paste(sign, (left, top), sign)
        occupied[top : top + sign.height, left : left + sign.width] = True
    return np.asarray(canvas, dtype=np.uint8).copy()


def tag(text: str, colour: Colour, *, size: int, instead: str = "?") -> Image.Image:
    """A word on a rounded patch of colour: an RGBA image with smooth edges."""
    text, font = spelled(text, size, instead=instead)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = spelled_height(size)
    pad = max(3, size // 3)
    width, height = round(right - left) + 2 * pad, ascent + descent + max(2, size // 4)
    patch = rounded((height, width), radius=height / 2.6)
    image = Image.new("RGBA", (width, height), (*colour, 0))
    image.putalpha(patch.point(lambda value: value * 235 // 255))
    ImageDraw.Draw(image).text(
        (width / 2, height / 2), text, font=font, fill=(*ink_on(colour), 255), anchor="mm"
    )
    return image


def spelled_height(size: int) -> tuple[int, int]:
    """Room above and below the base line for any word at this font size; pixels."""
    return round(size * 0.85), round(size * 0.3)


def rounded(size: tuple[int, int], *, radius: float) -> Image.Image:
    """A rounded rectangle of (height, width) pixels as an 8-bit mask with smooth edges."""
    height, width = size
    large = Image.new("L", (width * _SHARP, height * _SHARP), 0)
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, large.width - 1, large.height - 1), radius * _SHARP, fill=255
    )
    return large.reduce(_SHARP)


def _room(mask: Bool, occupied: Bool, height: int, width: int) -> tuple[int, int] | None:
    """Top and left of the free place that the mask covers best, near its middle; None if none."""
    box = extent(mask)
    if box is None or height > mask.shape[0] or width > mask.shape[1]:
        return None
    top, bottom, left, right = box
    # A tag may stick out of a narrow segment to both sides, but not of a much smaller one.
    if mask.sum() < 0.9 * height * width or (right - left) < 0.5 * width:
        return None
    first_row, last_row = max(0, top - height // 3), min(mask.shape[0], bottom + height // 3)
    first_column = max(0, min(left, (left + right - width) // 2))
    last_column = min(mask.shape[1], max(right, first_column + width))
    window = (slice(first_row, last_row), slice(first_column, last_column))
    covered = _window_means(mask[window], height, width)
    taken = _window_means(occupied[window], height, width)
    if covered.size == 0:
        return None
    rows, columns = np.arange(covered.shape[0])[:, None], np.arange(covered.shape[1])
    inside = np.argwhere(mask[window])
    middle = inside.mean(axis=0) - (height / 2, width / 2)
    reach = max(1.0, float(np.hypot(*mask[window].shape)))
    away = np.hypot(rows * _GRID - middle[0], columns * _GRID - middle[1]) / reach
    # Room around the tag counts too: it should not sit on a border.
    around = np.pad(mask[window], height)
    roomy = _window_means(around, 3 * height, width + 2 * height)
    worth = np.where(taken > 0, -1.0, covered + 0.6 * roomy - 0.35 * away)
    best = int(np.argmax(worth))
    row, column = divmod(best, covered.shape[1])
    if worth[row, column] < 0 or covered[row, column] < 0.25:
        return None
    return first_row + row * _GRID, first_column + column * _GRID


def _window_means(mask: Bool, height: int, width: int) -> Float32:
    """Mean of the mask over every window of this size, at every fourth row and column."""
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.float32)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.float32), axis=1, out=sums[1:, 1:])
    if mask.shape[0] < height or mask.shape[1] < width:
        return np.zeros((0, 0), np.float32)
    totals = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    means: Float32 = (totals[::_GRID, ::_GRID] / np.float32(height * width)).astype(np.float32)
    return means
