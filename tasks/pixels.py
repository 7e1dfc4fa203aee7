"""Decoded images, shared by the tasks of an image and by whoever draws it.

A batch of images owns a `Pixels`: the next images are read and decoded into it while the models
work on this one, and an image is decoded once, not once for each backbone and picture. Outside of
a batch each task reads for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from zeropan.errors import BadImage
from zeropan.segmentation.images import load_image, read_image_bytes, shown
from zeropan.segmentation.records import UInt8
from zeropan.tasks.work import ImageRef, ImageWork, image_digest

MAX_BYTES = 512 * 1024 * 1024
"""Most bytes of pixels that are kept; the image in use is kept whatever its size."""

_owned: ContextVar[Pixels | None] = ContextVar("zeropan_pixels", default=None)
"""A task's parameters travel as JSON, so the batch that runs it hands its pixels over here."""


class Pixels:
    """Decoded images by the digest of their files' bytes; threads may share it."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, UInt8] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[Pixels]:
        """Tasks that are run within the block take their pixels from here."""
        token = _owned.set(self)
        try:
            yield self
        finally:
            _owned.reset(token)

    def get(self, sha256: str) -> UInt8 | None:
        """The image, uint8 (H, W, 3), if it is kept."""
        with self._lock:
            return self._images.get(sha256)

    def keep(self, data: bytes, image: ImageRef, *, max_pixels: int) -> UInt8:
        """Decode an image's bytes and keep the pixels for the tasks that will want them.

        Raises:
            BadImage: it is damaged or too large.
        """
        pixels = _decoded(data, image, max_pixels)
        with self._lock:
            self._images[image.sha256] = pixels
            while len(self._images) > 1 and self._bytes() > MAX_BYTES:
                self._images.popitem(last=False)
        return pixels

    def forget(self, sha256: str) -> None:
        """Let an image's pixels go; nobody will want them."""
        with self._lock:
            self._images.pop(sha256, None)

    def _bytes(self) -> int:
        return sum(image.nbytes for image in self._images.values())


def pixels_of(work: ImageWork) -> UInt8:
    """The image of a task's work as uint8 (H, W, 3); see `image_pixels`."""
    return image_pixels(work.image, max_pixels=work.max_pixels)


def image_pixels(image: ImageRef, *, max_pixels: int) -> UInt8:
    """The image as uint8 (H, W, 3), made sure to be the one whose digest the reference holds.

    Raises:
        BadImage: it is gone, damaged, too large, or another image by now.
        TransientError: a remote place failed in a way that another try may mend.
    """
    owned = _owned.get()
    known = owned.get(image.sha256) if owned else None
    if known is not None:
        return known
    data = read_image_bytes(image.location)
    if image_digest(data) != image.sha256:
        raise BadImage(
            f"{shown(image.location)} is no longer the image that was segmented; put the old "
            "one back, or run the new one with `zeropan run`"
        )
    if owned is not None:
        return owned.keep(data, image, max_pixels=max_pixels)
    return _decoded(data, image, max_pixels)


def _decoded(data: bytes, image: ImageRef, max_pixels: int) -> UInt8:
    return load_image(data, name=shown(image.location), max_pixels=max_pixels)
