"""What the coarse text segmenter sees: one tile for each stuff prompt."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from zeropan.pictures.canvas import Canvas
from zeropan.pictures.fonts import spelled
from zeropan.pictures.layers import grey, washed
from zeropan.pictures.palette import FAINT, INK, PAPER, inferno
from zeropan.segmentation.records import Float32, StuffLogits, UInt8

_MOST_TILES = 24
_MOST_COLUMNS = 8
_SHEET = 1150
_GAP = 12


def heat_maps(image: UInt8, logits: StuffLogits) -> UInt8:
    """A grid of tiles: the image in grey under each prompt's probability, with one scale for all.

    Args:
        image: uint8 (H, W, 3), RGB.
        logits: of the same image; may hold no prompt.
    """
    if not logits.prompts:
        return _nothing(image)
    prompts = logits.prompts[:_MOST_TILES]
    columns = _columns(len(prompts), image.shape[1] / image.shape[0])
    rows = math.ceil(len(prompts) / columns)
    side = max(260, min(768, _SHEET // max(columns, 1)))
    canvas = Canvas.for_size(*image.shape[:2], least=side, most=side)
    size = max(14, round(side / 24))
    title = round(size * 1.9)
    foot = round(size * 3.2)
    wide = max(canvas.width, 150)
    sheet = Image.new(
        "RGB",
        (
            max(columns * (wide + _GAP) + _GAP, 420),
            rows * (canvas.height + title + _GAP) + foot,
        ),
        PAPER,
    )
    base = grey(canvas.picture(image), light=0.9)
    draw = ImageDraw.Draw(sheet)
    for place, prompt in enumerate(prompts):
        left = _GAP + (place % columns) * (wide + _GAP)
        top = (place // columns) * (canvas.height + title + _GAP)
        chance = _probability(logits.logits[place])
        _title(draw, (left, top + title // 2), prompt, float(chance.max(initial=0)), size, wide)
        tile = Image.fromarray(_tile(base, np.clip(canvas.plane(chance), 0, 1)))
        sheet.paste(tile, (left, top + title))
    left_out = len(logits.prompts) - len(prompts)
    _scale_bar(sheet, size, foot, f"; {left_out} more words not shown" if left_out else "")
    return np.asarray(sheet, dtype=np.uint8)


def _tile(base: UInt8, chance: Float32) -> UInt8:
    # Low values keep more of the image, so that one sees where on it they are.
    return washed(base, inferno(chance), (0.42 + 0.43 * chance).astype(np.float32))


def _probability(logits: Float32) -> Float32:
    # The two halves keep the exponential from overflowing.
    decay = np.exp(-np.abs(logits))
    chance: Float32 = np.where(logits >= 0, 1 / (1 + decay), decay / (1 + decay)).astype(np.float32)
    return chance


def _columns(tiles: int, aspect: float) -> int:
    """The number of columns that brings the grid near a shape of 4:3 and leaves few holes."""

    def fault(columns: int) -> float:
        rows = math.ceil(tiles / columns)
        holes = 1 - tiles / (rows * columns)
        return abs(math.log(aspect * columns / rows / (4 / 3))) + 0.6 * holes

    return min(range(1, min(tiles, _MOST_COLUMNS) + 1), key=fault)


def _title(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    prompt: str,
    best: float,
    size: int,
    width: int,
) -> None:
    word, font = spelled(prompt, size)
    most, small = spelled(f"max {best:.2f}", round(size * 0.88))
    while len(word) > 1 and font.getlength(word) > width - small.getlength(most) - 10:
        word = word[:-2].rstrip() + "."
    draw.text(place, word, font=font, fill=INK, anchor="lm")
    draw.text((place[0] + width, place[1]), most, font=small, fill=FAINT, anchor="rm")


def _scale_bar(sheet: Image.Image, size: int, foot: int, more: str) -> None:
    draw = ImageDraw.Draw(sheet)
    middle = sheet.height - foot // 2
    small = round(size * 0.88)
    zero, font = spelled("0", small)
    draw.text((_GAP, middle), zero, font=font, fill=FAINT, anchor="lm")
    left, width, height = _GAP + size, min(260, sheet.width // 3), max(8, size // 2)
    ramp = inferno(np.linspace(0, 1, width, dtype=np.float32))
    bar = Image.fromarray(np.broadcast_to(ramp, (height, width, 3)).copy())
    sheet.paste(bar, (left, middle - height // 2))
    text, font = spelled(f"1   probability of the word{more}", small)
    draw.text((left + width + size // 2, middle), text, font=font, fill=FAINT, anchor="lm")


def _nothing(image: UInt8) -> UInt8:
    canvas = Canvas.for_size(*image.shape[:2])
    sheet = Image.new("RGB", (max(canvas.width, 420), max(canvas.height, 160)), PAPER)
    text, font = spelled("no stuff words were asked for", canvas.text_size)
    place = (sheet.width / 2, sheet.height / 2)
    ImageDraw.Draw(sheet).text(place, text, font=font, fill=FAINT, anchor="mm")
    return np.asarray(sheet, dtype=np.uint8)
