"""One picture for each step between the image and the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from zeropan.pictures.canvas import Canvas, extent
from zeropan.pictures.labels import Label, labelled, rounded, tag
from zeropan.pictures.layers import borders, colour_map, contour, grey, hatched, stroked, washed
from zeropan.pictures.legend import Entry, percent, with_legend
from zeropan.pictures.palette import UNLABELLED, Colour, category_colour, instance_colours
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import (
    Bool,
    Float32,
    GroundedBoxes,
    Panoptic,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    UInt8,
)

_CANDIDATE_SCORE = 0.1
_MOST_CANDIDATES = 12


@dataclass(frozen=True, eq=False)
class StepRecords:
    """Everything that one image went through."""

    image: UInt8
    """uint8 (H, W, 3), RGB."""
    grounded: GroundedBoxes
    stuff_logits: StuffLogits
    things: ThingMasks
    regions: StuffRegions
    stuff: StuffMasks
    panoptic: Panoptic
    categories: Categories


def draw_input(steps: StepRecords) -> UInt8:
    """The image as it came."""
    height, width = steps.image.shape[:2]
    canvas = Canvas.for_size(height, width)
    asked = len(steps.categories.things), len(steps.categories.stuff)
    note = f"{width} x {height} pixels; asked for {asked[0]} things and {asked[1]} stuff words"
    return with_legend(canvas.picture(steps.image), [], size=canvas.text_size, note=note)


def draw_boxes(steps: StepRecords) -> UInt8:
    """The kept boxes with word and score, and thin ones for the best of those that were not."""
    canvas = Canvas.for_size(*steps.image.shape[:2])
    base = grey(canvas.picture(steps.image), keep=0.55, light=0.92)
    picture = Image.fromarray(base)
    draw = ImageDraw.Draw(picture)
    others = _other_candidates(steps.grounded, steps.things)
    for box in others.tolist():
        draw.rectangle(_placed(box, canvas), outline=(176, 180, 186), width=1)
    colours = instance_colours(steps.things, steps.panoptic, steps.categories)
    boxes = steps.things.boxes_xyxy.tolist()
    for box, colour in reversed(list(zip(boxes, colours, strict=True))):
        draw.rectangle(_placed(box, canvas, grow=1), outline=(24, 26, 30), width=canvas.line + 2)
        draw.rectangle(_placed(box, canvas), outline=colour, width=canvas.line)
    for place in reversed(range(len(boxes))):
        text, instead = _thing_text(steps, place)
        sign = tag(text, colours[place], size=canvas.text_size, instead=instead)
        left, top, _, _ = _placed(boxes[place], canvas)
        left = min(max(0, left), max(0, canvas.width - sign.width))
        top = top - sign.height + canvas.line if top >= sign.height else max(0, top)
        picture.paste(sign, (left, top), sign)
    note = f"{len(boxes)} boxes kept; thin: {len(others)} others that score best"
    return with_legend(
        np.asarray(picture, dtype=np.uint8),
        _thing_entries(steps, colours),
        size=canvas.text_size,
        note=note if len(others) else f"{len(boxes)} boxes kept",
    )


def draw_thing_masks(steps: StepRecords) -> UInt8:
    """Every instance's whole mask, better ones on top, with contours."""
    canvas = Canvas.for_size(*steps.image.shape[:2])
    picture = grey(canvas.picture(steps.image), keep=0.1, light=0.7)
    colours = instance_colours(steps.things, steps.panoptic, steps.categories)
    labels = []
    for place in reversed(range(len(colours))):
        mask = canvas.mask(steps.things.masks[place])
        _paint(picture, mask, colours[place], canvas, strength=0.6)
        text, instead = _thing_text(steps, place)
        labels.append(Label(text, colours[place], mask, instead))
    picture = labelled(picture, labels, size=canvas.text_size)
    return with_legend(
        picture,
        _thing_entries(steps, colours),
        size=canvas.text_size,
        note="masks as the segmenter drew them; they may overlap",
    )


def draw_regions(steps: StepRecords) -> UInt8:
    """The coarse regions; the stronger a colour, the surer the word."""
    canvas = Canvas.for_size(*steps.image.shape[:2])
    return with_legend(
        _regions(steps, canvas), _region_entries(steps), size=canvas.text_size,
        note="coarse regions, things taken out; paler where the word scores low",
    )  # fmt: skip


def draw_points(steps: StepRecords) -> UInt8:
    """The points that prompt the segmenter, on the regions they were sampled from."""
    canvas = Canvas.for_size(*steps.image.shape[:2])
    picture = Image.fromarray(grey(_regions(steps, canvas), keep=0.6, light=0.85))
    many = len(steps.stuff.points_xy) > 40 * max(1, len(steps.stuff.category_ids))
    side = max(5, canvas.line * 2 + 1) if many else max(9, round(canvas.text_size * 0.85)) | 1
    stamps = [
        _dot(category_colour(category, steps.categories), side)
        for category in steps.stuff.category_ids.tolist()
    ]
    places = steps.stuff.points_xy * np.float32(canvas.scale)
    for (x, y), segment in zip(places.tolist(), steps.stuff.point_segment.tolist(), strict=True):
        stamp = stamps[segment]
        picture.paste(stamp, (round(x) - side // 2, round(y) - side // 2), stamp)
    counts = np.bincount(steps.stuff.point_segment, minlength=len(stamps))
    entries = [
        Entry(*_named(steps.categories, category), f"{count} points", f"category {category}")
        for category, count in zip(steps.stuff.category_ids.tolist(), counts.tolist(), strict=True)
    ]
    return with_legend(
        np.asarray(picture, dtype=np.uint8), entries, size=canvas.text_size,
        note="points that ask the segmenter for each word",
    )  # fmt: skip


def draw_stuff_masks(steps: StepRecords) -> UInt8:
    """The refined masks of stuff, better ones on top."""
    canvas = Canvas.for_size(*steps.image.shape[:2])
    picture = grey(canvas.picture(steps.image), keep=0.1, light=0.7)
    entries, labels = [], []
    order = np.argsort(steps.stuff.scores, kind="stable").tolist()
    for place in order:
        category = int(steps.stuff.category_ids[place])
        mask = canvas.mask(steps.stuff.masks[place])
        colour = category_colour(category, steps.categories)
        _paint(picture, mask, colour, canvas, strength=0.62)
        name, colours = _named(steps.categories, category)
        labels.append(Label(name, colour, mask, f"category {category}"))
        share = float(steps.stuff.masks[place].mean())
        figures = f"{percent(share)} · {float(steps.stuff.scores[place]):.2f}"
        entries.append(Entry(name, colours, figures, f"category {category}"))
    picture = labelled(picture, labels, size=canvas.text_size)
    return with_legend(
        picture, entries[::-1], size=canvas.text_size,
        note="masks as the segmenter drew them; they may overlap",
    )  # fmt: skip


def _regions(steps: StepRecords, canvas: Canvas) -> UInt8:
    labels = canvas.labels(steps.regions.label_map)
    scores = canvas.plane(steps.regions.scores.astype(np.float32))
    ids = range(len(steps.categories.things) + 1, len(steps.categories.ordered) + 1)
    colours = {label: category_colour(label, steps.categories) for label in ids}
    base = grey(canvas.picture(steps.image), keep=0.35, light=0.95)
    wash = np.where(labels > 0, 0.25 + 0.6 * np.clip(scores, 0, 1), 0).astype(np.float32)
    picture = hatched(washed(base, colour_map(labels, colours), wash), labels == 0, pitch=9)
    taken = _union(steps.things)
    if taken.any():
        hole = canvas.mask(taken) & (labels == 0)
        picture = np.where(hole[..., None], grey(base, light=0.4), picture)
    line = borders(labels, width=canvas.line)
    return stroked(picture, line, (255, 255, 255), strength=0.7)


def _region_entries(steps: StepRecords) -> list[Entry]:
    labels, entries = steps.regions.label_map, []
    pixels = max(1, labels.size)
    first = len(steps.categories.things) + 1
    for category in range(first, len(steps.categories.ordered) + 1):
        mine = labels == category
        area = int(mine.sum())
        if area:
            score = float(steps.regions.scores[mine].astype(np.float32).mean())
            name, colours = _named(steps.categories, category)
            figures = f"{percent(area / pixels)} · {score:.2f}"
            entries.append(Entry(name, colours, figures, f"category {category}"))
    taken = _union(steps.things) & (labels == 0)
    if taken.any():
        entries.append(Entry("things", ((40, 41, 43),), percent(float(taken.mean()))))
    rest = (labels == 0) & ~taken
    if rest.any():
        entries.append(Entry("no word", (UNLABELLED,), percent(float(rest.mean())), hatched=True))
    return entries


def _union(things: ThingMasks) -> Bool:
    union: Bool = np.any(things.masks, axis=0)
    return union


def _paint(picture: UInt8, mask: Bool, colour: Colour, canvas: Canvas, *, strength: float) -> None:
    """Wash a mask's pixels in place and draw its contour; only its surroundings are touched."""
    box = extent(mask)
    if box is None:
        return
    margin = 2 * canvas.line + 2
    window = (
        slice(max(0, box[0] - margin), box[1] + margin),
        slice(max(0, box[2] - margin), box[3] + margin),
    )
    part = mask[window]
    flat = np.broadcast_to(np.array(colour, np.uint8), (*part.shape, 3))
    painted = washed(picture[window], flat, part.astype(np.float32) * np.float32(strength))
    rim = contour(part, width=canvas.line)
    painted = stroked(painted, rim, (255, 255, 255), strength=0.95)
    picture[window] = painted


def _other_candidates(grounded: GroundedBoxes, things: ThingMasks) -> Float32:
    """The best boxes that no threshold kept: float32 (n, 4), n at most 12."""
    scores = grounded.token_scores.max(axis=2, initial=0).reshape(-1)
    boxes = grounded.boxes_xyxy.reshape(-1, 4)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= _CANDIDATE_SCORE][: _MOST_CANDIDATES + len(things.boxes_xyxy)]
    candidates: Float32 = boxes[order]
    if len(candidates) and len(things.boxes_xyxy):
        same = np.abs(candidates[:, None] - things.boxes_xyxy[None]).max(axis=2) < 0.5
        candidates = candidates[~same.any(axis=1)]
    best: Float32 = candidates[:_MOST_CANDIDATES]
    return best


def _placed(
    box: tuple[float, float, float, float], canvas: Canvas, *, grow: int = 0
) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side * canvas.scale) for side in box)
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    return left - grow, top - grow, right + grow, bottom + grow


def _thing_text(steps: StepRecords, place: int) -> tuple[str, str]:
    category = int(steps.things.category_ids[place])
    score = f"{float(steps.things.scores[place]):.2f}"
    return f"{_named(steps.categories, category)[0]} {score}", f"category {category} {score}"


def _thing_entries(steps: StepRecords, colours: list[Colour]) -> list[Entry]:
    entries = []
    ids = steps.things.category_ids
    for category in sorted(set(ids.tolist())):
        places = np.flatnonzero(ids == category).tolist()
        score = float(steps.things.scores[places].mean())
        name, _ = _named(steps.categories, category)
        mine = tuple(colours[place] for place in places)
        entries.append(Entry(name, mine, f"x{len(places)} · {score:.2f}", f"category {category}"))
    return entries


def _named(categories: Categories, category: int) -> tuple[str, tuple[Colour, ...]]:
    known = 1 <= category <= len(categories.ordered)
    name = categories.by_id(category).name if known else f"category {category}"
    return name, (category_colour(category, categories),)


def _dot(colour: Colour, side: int) -> Image.Image:
    """A disc with a white ring and a dark rim; RGBA."""
    image = Image.new("RGBA", (side, side), (20, 22, 26, 0))
    image.putalpha(rounded((side, side), radius=side / 2))
    for inset, fill in ((1, (255, 255, 255)), (max(2, side // 4), colour)):
        inner = side - 2 * inset
        if inner > 0:
            disc = rounded((inner, inner), radius=inner / 2)
            image.paste((*fill, 255), (inset, inset), disc)
    return image
