"""The strip below a picture that says what its colours mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from zeropan.pictures.fonts import spelled
from zeropan.pictures.labels import rounded, spelled_height
from zeropan.pictures.palette import FAINT, INK, PAPER, Colour
from zeropan.segmentation.records import UInt8

_MOST_SWATCHES = 5
LEAST_WIDTH = 420
"""Narrower pictures get margins, so that the strip can be read; pixels."""


@dataclass(frozen=True)
class Entry:
    """One item of a legend: colours, a word and figures."""

    word: str
    colours: tuple[Colour, ...]
    figures: str = ""
    """Such as "×7  0.64"; written fainter than the word."""
    instead: str = "?"
    """Written for a word that no font can show."""
    hatched: bool = False


def with_legend(picture: UInt8, entries: Sequence[Entry], *, size: int, note: str = "") -> UInt8:
    """The picture over a strip with the entries in lines, and a note below them.

    Args:
        picture: uint8 (h, w, 3).
        entries: in reading order.
        size: font size; pixels.
        note: a last line, in faint ink.

    Returns:
        uint8 (h + strip, at least LEAST_WIDTH, 3).
    """
    width = max(picture.shape[1], LEAST_WIDTH)
    strip = _strip(entries, width=width, size=size, note=note)
    sheet = np.empty((picture.shape[0] + strip.shape[0], width, 3), np.uint8)
    sheet[:] = PAPER
    left = (width - picture.shape[1]) // 2
    sheet[: picture.shape[0], left : left + picture.shape[1]] = picture
    sheet[picture.shape[0] :] = strip
    return sheet


def percent(share: float) -> str:
    """A share of the image, 0 to 1, as "12%"; a small one as "< 1%"."""
    return f"{share:.0%}" if share >= 0.01 or share == 0 else "< 1%"


def _strip(entries: Sequence[Entry], *, width: int, size: int, note: str) -> UInt8:
    pad, gap = size, round(size * 1.5)
    line_height = round(size * 1.75)
    items = [_item(entry, size, width - 2 * pad) for entry in entries]
    lines: list[list[Image.Image]] = [[]]
    used = 0
    for item in items:
        if lines[-1] and used + gap + item.width > width - 2 * pad:
            lines.append([])
            used = 0
        used += item.width + (gap if lines[-1] else 0)
        lines[-1].append(item)
    if not items:
        lines = []
    rows = len(lines) + (1 if note else 0)
    strip = Image.new("RGB", (width, 2 * (pad * 2 // 3) + max(1, rows) * line_height), PAPER)
    top = pad * 2 // 3
    for line in lines:
        left = pad
        for item in line:
            strip.paste(item, (left, top + (line_height - item.height) // 2))
            left += item.width + gap
        top += line_height
    if note:
        text, font = spelled(note, round(size * 0.9))
        draw = ImageDraw.Draw(strip)
        draw.text((pad, top + line_height // 2), text, font=font, fill=FAINT, anchor="lm")
    return np.asarray(strip, dtype=np.uint8)


def _item(entry: Entry, size: int, most_width: int) -> Image.Image:
    word, font = spelled(entry.word, size, instead=entry.instead)
    figures, small = spelled(entry.figures, round(size * 0.9)) if entry.figures else ("", font)
    side = round(size * 0.95)
    step = round(side * 0.62)
    swatches = entry.colours[:_MOST_SWATCHES]
    swatches_width = side + step * (len(swatches) - 1) if swatches else 0
    space = round(size * 0.45)
    word_width = round(font.getlength(word))
    figures_width = round(small.getlength(figures)) + space if figures else 0
    width = min(most_width, swatches_width + space + word_width + figures_width)
    height = sum(spelled_height(size)) + 4
    item = Image.new("RGB", (max(1, width), height), PAPER)
    # The first colour lies on top, so it is drawn last.
    for place in reversed(range(len(swatches))):
        _swatch(item, swatches[place], place * step, side, hatched=entry.hatched)
    draw = ImageDraw.Draw(item)
    left = swatches_width + space
    draw.text((left, height / 2), word, font=font, fill=INK, anchor="lm")
    if figures:
        draw.text(
            (left + word_width + space, height / 2), figures, font=small, fill=FAINT, anchor="lm"
        )
    return item


def _swatch(item: Image.Image, colour: Colour, left: int, side: int, *, hatched: bool) -> None:
    top = (item.height - side) // 2
    shape = rounded((side, side), radius=side / 3.2)
    rim = rounded((side + 2, side + 2), radius=side / 3.2 + 1)
    item.paste(PAPER, (left - 1, top - 1), rim)
    patch = Image.new("RGB", (side, side), colour)
    if hatched:
        draw = ImageDraw.Draw(patch)
        for start in range(-side, side, 5):
            draw.line((start, side, start + side, 0), fill=(165, 166, 168), width=1)
    item.paste(patch, (left, top), shape)
