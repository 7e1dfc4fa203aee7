"""The picture that people see first: the image, its segments in colour, their names and scores."""

from __future__ import annotations

import numpy as np

from zeropan.pictures.canvas import Canvas
from zeropan.pictures.labels import Label, labelled
from zeropan.pictures.layers import borders, colour_map, grey, hatched, stroked, washed
from zeropan.pictures.legend import Entry, percent, with_legend
from zeropan.pictures.palette import UNLABELLED, Colour, category_colour, segment_colours
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Int32, Panoptic, SegmentInfo, UInt8

_THING_WASH, _STUFF_WASH = 0.52, 0.46


def overlay(image: UInt8, panoptic: Panoptic, categories: Categories) -> UInt8:
    """The final result over the image, with a legend below.

    Things have vivid colours, one for each instance, and bright contours; stuff has calm colours;
    what nothing claims is grey and hatched. Each segment with room for it bears its name, things
    also their score.

    Args:
        image: uint8 (H, W, 3), RGB.
        panoptic: of the same height and width.
        categories: those it was made with.

    Returns:
        uint8 (h, w, 3): the longer side of the image part is between 768 and 1600 pixels.
    """
    canvas = Canvas.for_size(*image.shape[:2])
    colours = segment_colours(panoptic, categories)
    labels = canvas.labels(panoptic.label_map)
    picture = painted(canvas.picture(image), labels, panoptic, colours, canvas)
    words = [_label(segment, labels, colours, categories) for segment in panoptic.segments_info]
    picture = labelled(picture, words, size=canvas.text_size)
    return with_legend(picture, legend_entries(panoptic, categories), size=canvas.text_size)


def painted(
    picture: UInt8,
    labels: Int32,
    panoptic: Panoptic,
    colours: dict[int, Colour],
    canvas: Canvas,
) -> UInt8:
    """Colours, contours and hatching, without words; picture and labels have the canvas's size."""
    things = np.isin(labels, [segment.id for segment in panoptic.segments_info if segment.isthing])
    wash = np.where(things, np.float32(_THING_WASH), np.float32(_STUFF_WASH))
    wash[labels == 0] = 0
    tints = colour_map(labels, colours)
    # Over the image's own colours a red instance that is painted blue would turn out brown.
    result = washed(grey(picture, keep=0.3), tints, wash)
    result = hatched(result, labels == 0, pitch=max(8, canvas.text_size // 2))
    result = stroked(result, borders(labels, width=2), (255, 255, 255), strength=0.45)
    only_things = np.where(things, labels, 0).astype(np.int32)
    rim = borders(only_things, width=2 * canvas.line)
    result = stroked(result, rim, (24, 26, 30), strength=0.55)
    bright = colour_map(only_things, {key: _lighter(colour) for key, colour in colours.items()})
    return stroked(result, rim & things, bright, strength=1.0)


def legend_entries(panoptic: Panoptic, categories: Categories) -> list[Entry]:
    """One entry for each category that was found, and one each for the missing and the rest."""
    colours = segment_colours(panoptic, categories)
    entries = []
    pixels = max(1, panoptic.label_map.size)
    missing = []
    for category_id, category in enumerate(categories.ordered, start=1):
        mine = [s for s in panoptic.segments_info if s.category_id == category_id]
        if not mine:
            missing.append(category.name)
            continue
        score = sum(segment.score for segment in mine) / len(mine)
        share = sum(segment.area for segment in mine) / pixels
        figures = (
            f"x{len(mine)} · {score:.2f}" if category.isthing else f"{percent(share)} · {score:.2f}"
        )
        entries.append(
            Entry(
                category.name,
                tuple(colours[segment.id] for segment in mine),
                figures,
                instead=f"category {category_id}",
            )
        )
    unlabelled = 1 - sum(segment.area for segment in panoptic.segments_info) / pixels
    if unlabelled >= 0.0005:
        share_text = percent(unlabelled)
        entries.append(Entry("unlabelled", (UNLABELLED,), share_text, hatched=True))
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if missing[6:] else "")
        entries.append(Entry("not found:", (), shown))
    return entries


def _label(
    segment: SegmentInfo, labels: Int32, colours: dict[int, Colour], categories: Categories
) -> Label:
    known = 1 <= segment.category_id <= len(categories.ordered)
    name = categories.by_id(segment.category_id).name if known else f"{segment.category_id}"
    text = f"{name} {segment.score:.2f}" if segment.isthing else name
    colour = colours[segment.id]
    if not segment.isthing:
        colour = category_colour(segment.category_id, categories)
    return Label(text, colour, labels == segment.id, f"category {segment.category_id}")


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (round(255 - (255 - channel) * 0.62) for channel in colour)
    return red, green, blue
