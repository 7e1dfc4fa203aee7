"""Pictures as the files that MLflow's image grid looks for.

`MlflowClient.log_image` costs about 0.15 s a picture. The grid only needs files with the same
names in the run's folder `images` and the tag `mlflow.loggedImages`; written together and sent in
one call they cost a third of that.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zeropan.segmentation.records import UInt8
from zeropan.tracking.names import image_key

FOLDER = "images"
"""The run's artifact folder that the image grid reads."""
LOGGED_IMAGES_TAG = "mlflow.loggedImages"
THUMBNAIL_SIDE = 256
"""Longer side of the thumbnail that the grid shows; pixels."""


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as the two files that the grid wants."""

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


def image_files(pictures: Mapping[str, UInt8 | EncodedPicture], *, step: int) -> dict[str, bytes]:
    """For each picture a full PNG and a WebP thumbnail, under the names `log_image` would choose.

    Args:
        pictures: image key to uint8 (h, w, 3), RGB, or to what `encoded` made of it. Keys are
            made ASCII.
        step: the grid's slider position.
    """
    files: dict[str, bytes] = {}
    now = int(time.time() * 1000)
    for key, picture in pictures.items():
        flat_key = image_key(key).replace("/", "~")
        stem = f"{flat_key}+step+{step}+timestamp+{now}+{uuid.uuid4()}"
        both = picture if isinstance(picture, EncodedPicture) else encoded(picture)
        files[f"{stem}.png"] = both.png
        files[f"{stem}+compressed.webp"] = both.thumbnail
    return files


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
