"""Pictures as the bytes of files: a PNG, and a thumbnail for lists."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zeropan.segmentation.records import UInt8

THUMBNAIL_SIDE = 256
"""Longer side of a thumbnail; pixels."""


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as the two files that MLflow's grid wants."""

    png: bytes
    thumbnail: bytes
    """WebP, at most `THUMBNAIL_SIDE` pixels."""

    @property
    def whole(self) -> bool:
        """Whether both begin and end as their formats do, so that neither was cut off."""
        return (
            self.png.startswith(b"\x89PNG")
            and self.png[-8:-4] == b"IEND"
            and self.thumbnail.startswith(b"RIFF")
            and len(self.thumbnail) == int.from_bytes(self.thumbnail[4:8], "little") + 8
        )


def encoded(pixels: UInt8) -> EncodedPicture:
    """A picture, uint8 (h, w, 3), RGB, as PNG and thumbnail."""
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return EncodedPicture(
        _encoded(image, "PNG", compress_level=1), _encoded(small, "WEBP", quality=88, method=2)
    )


def png_bytes(pixels: UInt8) -> bytes:
    """uint8 (h, w, 3) as PNG; lightly compressed, since encoding is what costs."""
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    return _encoded(image, "PNG", compress_level=1)


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
