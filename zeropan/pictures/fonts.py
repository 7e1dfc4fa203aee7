"""Words as pictures can show them: a font that has their letters, or a spelling that it has."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Pillow brings a font for plain English only. These often are on a machine; a CJK font first.
_OTHERS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "ipagp.ttf",
    "Hiragino Sans GB.ttc",
    "msgothic.ttc",
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "Arial.ttf",
)
_NO_CHARACTER = "\U0010ffff"


def spelled(text: str, size: int, *, instead: str = "?") -> tuple[str, Font]:
    """A text and a font that has all its letters.

    Args:
        text: any text.
        size: font size in pixels.
        instead: what to write when no font has the letters and they have no plain spelling.

    Returns:
        The text itself if a font on this machine can write it, else its letters without accents,
        else `instead`; and the font.
    """
    text = " ".join(text.split())
    plain = _plain(text)
    for candidate in (text, plain):
        if candidate:
            for font in _fonts(size):
                if all(_has(font, sign) for sign in set(candidate)):
                    return candidate, font
    return instead, _fonts(size)[0]


@cache
def _fonts(size: int) -> tuple[Font, ...]:
    found: list[Font] = [ImageFont.load_default(size)]
    for file in (*_OTHERS, _of_matplotlib()):
        try:
            found.append(ImageFont.truetype(file, size))
        except OSError:
            continue
    return tuple(found)


def _of_matplotlib() -> str:
    """The font file that matplotlib, which MLflow requires, brings along; it is not imported."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return "none"
    return str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _has(font: Font, sign: str) -> bool:
    """Whether a font has a letter, told by its picture: missing ones all look the same."""
    if sign.isspace():
        return True
    mask, missing = font.getmask(sign), font.getmask(_NO_CHARACTER)
    return mask.size != missing.size or bytes(mask) != bytes(missing)


def _plain(text: str) -> str:
    """The letters without accents, as far as they have any such form; "" when they have none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()
    letters = sum(sign.isalnum() for sign in text)
    return plain if sum(sign.isalnum() for sign in plain) >= letters else ""
