"""The images of a run: found, read once, and named by their bytes."""

from __future__ import annotations

from collections.abc import Sequence

from zeropan.errors import BadInput
from zeropan.segmentation.images import load_image, read_image_bytes, shown, without_user
from zeropan.tasks.work import ImageRef, image_digest


def refer_to(locations: Sequence[str], *, max_pixels: int, decode: bool = False) -> list[ImageRef]:
    """References to images, in the order given.

    Args:
        locations: local paths or fsspec URLs.
        max_pixels: images with more pixels are refused before they are decoded.
        decode: also decode each, so that a broken one is found before any work.

    Raises:
        BadImage: an image is missing, unreadable or too large.
        BadInput: no image was given, or one with a password in its address.
    """
    if not locations:
        raise BadInput("no image was given; name at least one image file")
    refuse_passwords(locations)
    found = []
    for location in locations:
        data = read_image_bytes(location)
        if decode:
            load_image(data, name=shown(location), max_pixels=max_pixels)
        found.append(ImageRef(location=location, sha256=image_digest(data)))
    return found


def refuse_passwords(locations: Sequence[str]) -> None:
    """Locations are recorded, logged and shown, so they must not hold a user or a password.

    Raises:
        BadInput: one does.
    """
    for location in locations:
        if "://" in location and without_user(location) != location:
            raise BadInput(
                f"{shown(location)} was given with a user or password in the address; put them "
                "into the environment, as the fsspec package for it says"
            )
