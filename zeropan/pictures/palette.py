"""Colours: vivid ones for things, calm ones for stuff, equally light to the eye.

Colours are chosen in OKLCH (Björn Ottosson, "A perceptual color space for image processing",
2020), where equal steps look equal. Every thing category owns a sector of the hue circle; its
instances spread over that sector and over three lightnesses, so that neighbours also differ for
people who confuse hues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic, ThingMasks, UInt8

Colour = tuple[int, int, int]
"""sRGB, 0 to 255."""

INK: Colour = (32, 34, 38)
PAPER: Colour = (250, 250, 248)
FAINT: Colour = (120, 124, 130)
UNLABELLED: Colour = (88, 90, 94)

_FIRST_HUE = 28.0
_GOLDEN_ANGLE = 137.508
_LIGHTNESSES = (0.71, 0.60, 0.82)

# Eleven samples of "inferno" by Nathaniel Smith and Stéfan van der Walt (CC0), evenly spaced.
_INFERNO = np.array(
    [
        (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84),
        (221, 81, 58), (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
    ],
    dtype=np.float32,
)  # fmt: skip


def thing_colour(category: int, categories: int, rank: int) -> Colour:
    """The colour of an instance.

    Args:
        category: place of its category among the thing categories, from 0.
        categories: how many thing categories there are.
        rank: place of the instance within its category, from 0.
    """
    width = 360.0 / max(1, categories)
    hue = _FIRST_HUE + width * (category + 0.85 * (_spread(rank) - 0.5))
    return oklch(_LIGHTNESSES[rank % len(_LIGHTNESSES)], 0.19, hue)


def stuff_colour(place: int) -> Colour:
    """The colour of the stuff category at this place among the stuff categories, from 0."""
    lightness = (0.78, 0.66, 0.86, 0.58)[place % 4]
    return oklch(lightness, 0.075, 200.0 + _GOLDEN_ANGLE * place)


def category_colour(category_id: int, categories: Categories) -> Colour:
    """The colour that stands for a whole category; grey for an id that is not in the list."""
    things, stuff = len(categories.things), len(categories.stuff)
    if 1 <= category_id <= things:
        return thing_colour(category_id - 1, things, 0)
    if things < category_id <= things + stuff:
        return stuff_colour(category_id - things - 1)
    return FAINT


def segment_colours(panoptic: Panoptic, categories: Categories) -> dict[int, Colour]:
    """A colour for each segment id: things by their rank within their category."""
    colours: dict[int, Colour] = {}
    ranks: dict[int, int] = {}
    things = len(categories.things)
    for segment in panoptic.segments_info:
        if segment.isthing and 1 <= segment.category_id <= things:
            rank = ranks.get(segment.category_id, 0)
            ranks[segment.category_id] = rank + 1
            colours[segment.id] = thing_colour(segment.category_id - 1, things, rank)
        else:
            colours[segment.id] = category_colour(segment.category_id, categories)
    return colours


def instance_colours(
    things: ThingMasks, panoptic: Panoptic, categories: Categories
) -> list[Colour]:
    """A colour for each instance of step 1: that of the segment it became, if it became one."""
    final = segment_colours(panoptic, categories)
    category_of = {segment.id: segment.category_id for segment in panoptic.segments_info}
    # A few thousand pixels tell which segment an instance became.
    step = max(1, max(panoptic.label_map.shape) // 300)
    labels = panoptic.label_map[::step, ::step]
    taken: set[int] = set()
    chosen: list[Colour | None] = []
    for mask, category in zip(things.masks, things.category_ids.tolist(), strict=True):
        ids, counts = np.unique(labels[mask[::step, ::step]], return_counts=True)
        best = [
            (count, label)
            for label, count in zip(ids.tolist(), counts.tolist(), strict=True)
            if category_of.get(label) == category and label not in taken
        ]
        if best:
            label = max(best)[1]
            taken.add(label)
            chosen.append(final[label])
        else:
            chosen.append(None)
    return _with_spares(chosen, things.category_ids.tolist(), panoptic, categories)


def _with_spares(
    chosen: Sequence[Colour | None],
    category_ids: Sequence[int],
    panoptic: Panoptic,
    categories: Categories,
) -> list[Colour]:
    next_rank: dict[int, int] = {}
    for segment in panoptic.segments_info:
        next_rank[segment.category_id] = next_rank.get(segment.category_id, 0) + 1
    colours = []
    for colour, category in zip(chosen, category_ids, strict=True):
        if colour is None:
            rank = next_rank.get(category, 0)
            next_rank[category] = rank + 1
            colour = thing_colour(category - 1, len(categories.things), rank)
        colours.append(colour)
    return colours


def inferno(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> UInt8:
    """A perceptually even colour for each value in [0, 1]: uint8, with a last axis of 3."""
    at = np.clip(values, 0, 1) * (len(_INFERNO) - 1)
    places = np.arange(len(_INFERNO))
    channels = [np.interp(at, places, _INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on this colour (WCAG relative luminance)."""
    red, green, blue = (_linear(channel / 255) for channel in colour)
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.25 else (255, 255, 255)


@cache
def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """The sRGB colour of an OKLCH triple; the chroma shrinks until the colour exists in sRGB.

    Args:
        lightness: 0 to 1.
        chroma: 0 (grey) to about 0.3.
        hue: degrees.
    """
    for _ in range(40):
        rgb = _oklab_to_linear(lightness, chroma, math.radians(hue))
        if all(-1e-4 <= channel <= 1 + 1e-4 for channel in rgb):
            break
        chroma *= 0.94
    red, green, blue = (round(255 * _gamma(min(1.0, max(0.0, channel)))) for channel in rgb)
    return red, green, blue


def _oklab_to_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else float(1.055 * linear ** (1 / 2.4) - 0.055)


def _linear(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else float(((encoded + 0.055) / 1.055) ** 2.4)


def _spread(rank: int) -> float:
    """Van der Corput's sequence in base 2, from 1/2: each next value lies far from all before."""
    value, digit, rest = 0.0, 0.5, rank + 1
    while rest:
        value += digit * (rest & 1)
        rest >>= 1
        digit /= 2
    return value
