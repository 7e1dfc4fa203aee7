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

import numpy as np
from PIL import Image

from segmentation.records import UInt8
from tracking.names import image_key

FOLDER = "images"
"""The run's artifact folder that the image grid reads."""
LOGGED_IMAGES_TAG = "mlflow.loggedImages"
THUMBNAIL_SIDE = 256
"""Longer side of the thumbnail that the grid shows; pixels."""


def image_files(pictures: Mapping[str, UInt8], *, step: int) -> dict[str, bytes]:
    """For each picture a full PNG and a WebP thumbnail, under the names `log_image` would choose.

    Args:
        pictures: image key to uint8 (h, w, 3), RGB. Keys are made ASCII.
        step: the grid's slider position.
    """
    files: dict[str, bytes] = {}
    now = int(time.time() * 1000)
    for key, pixels in pictures.items():
        flat_key = image_key(key).replace("/", "~")
        stem = f"{flat_key}+step+{step}+timestamp+{now}+{uuid.uuid4()}"
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
        files[f"{stem}.png"] = _encoded(image, "PNG", compress_level=1)
        thumbnail = image.copy()
        thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        files[f"{stem}+compressed.webp"] = _encoded(thumbnail, "WEBP", quality=88, method=2)
    return files


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
