"""Pictures in a row, to compare: an image, its truth and its prediction; or two results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from zeropan.pictures.fonts import spelled
from zeropan.pictures.palette import INK, PAPER
from zeropan.segmentation.records import UInt8

_GAP = 14


def side_by_side(titled: Sequence[tuple[str, UInt8]], *, most_width: int = 2400) -> UInt8:
    """Titled pictures in one row, all brought to the same width, their tops aligned.

    Args:
        titled: title and uint8 (h, w, 3) of each; at least one.
        most_width: most pixels of the whole row; wider pictures are reduced.

    Returns:
        uint8 (h, w, 3).
    """
    if not titled:
        raise ValueError("titled: expected at least one picture, got none")
    widest = max(picture.shape[1] for _, picture in titled)
    width = max(1, min(widest, most_width // len(titled) - _GAP))
    tiles = []
    for title, picture in titled:
        tile = Image.fromarray(np.ascontiguousarray(picture))
        if tile.width != width:
            height = max(1, round(tile.height * width / tile.width))
            tile = tile.resize((width, height), Image.Resampling.BICUBIC)
        tiles.append((title, tile))
    text_size = max(14, round(max(tile.width for _, tile in tiles) / 34))
    head = round(text_size * 2)
    sheet = Image.new(
        "RGB",
        (
            sum(tile.width for _, tile in tiles) + _GAP * (len(tiles) + 1),
            max(tile.height for _, tile in tiles) + head + _GAP,
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    left = _GAP
    for title, tile in tiles:
        text, font = spelled(title, text_size)
        draw.text((left, head / 2), text, font=font, fill=INK, anchor="lm")
        sheet.paste(tile, (left, head))
        left += tile.width + _GAP
    return np.asarray(sheet, dtype=np.uint8)
