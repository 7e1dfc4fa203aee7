"""Pictures as the files that MLflow's image grid looks for.

`MlflowClient.log_image` costs about 0.15 s a picture. The grid only needs files with the same
names in the run's folder `images` and the tag `mlflow.loggedImages`; written together and sent in
one call they cost a third of that.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from zeropan.pictures.encoding import EncodedPicture, encoded
from zeropan.segmentation.records import UInt8
from zeropan.tracking.names import image_key

FOLDER = "images"
"""The run's artifact folder that the image grid reads."""
LOGGED_IMAGES_TAG = "mlflow.loggedImages"


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
