"""Decoded images, shared by the three perception tasks of a process.

The next images are read and decoded while the models work on this one; and one image is decoded
once, not once for each backbone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from zeropan.errors import BadImage
from zeropan.segmentation.images import load_image, read_image_bytes, shown
from zeropan.segmentation.records import UInt8
from zeropan.tasks.work import ImageWork, image_digest

MAX_BYTES = 512 * 1024 * 1024
"""Most bytes of pixels that are kept; the image in use is kept whatever its size."""

_cache: OrderedDict[str, UInt8] = OrderedDict()
"""By the digest of the file's bytes, so what is in it never gets old."""
_lock = threading.Lock()


def pixels_of(work: ImageWork) -> UInt8:
    """The image as uint8 (H, W, 3), made sure to be the one that the key names.

    Raises:
        BadImage: it is gone, damaged, too large, or another image by now.
        TransientError: a remote place failed in a way that another try may mend.
    """
    with _lock:
        known = _cache.get(work.image.sha256)
    if known is not None and known.shape[0] * known.shape[1] <= work.max_pixels:
        return known
    data = read_image_bytes(work.image.location)
    if image_digest(data) != work.image.sha256:
        raise BadImage(
            f"{shown(work.image.location)} changed while it was being segmented; run it again"
        )
    return keep(data, work)


def keep(data: bytes, work: ImageWork) -> UInt8:
    """Decode an image's bytes and keep the pixels for the tasks that will want them.

    Raises:
        BadImage: it is damaged or too large.
    """
    pixels = load_image(data, name=shown(work.image.location), max_pixels=work.max_pixels)
    with _lock:
        _cache[work.image.sha256] = pixels
        while len(_cache) > 1 and sum(image.nbytes for image in _cache.values()) > MAX_BYTES:
            _cache.popitem(last=False)
    return pixels


def forget(sha256: str) -> None:
    """Let an image's pixels go; its tasks are done."""
    with _lock:
        _cache.pop(sha256, None)
