"""A look at named images before any work: their headers, and that no address holds a password."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zeropan.errors import BadImage, BadInput
from zeropan.segmentation.images import check_header, is_there, shown, without_user


def check_named(locations: Sequence[str], *, max_pixels: int) -> None:
    """Look at the headers of local image files; their pixels are decoded when they are worked on.

    Args:
        locations: local paths, or fsspec URLs, which are asked for but not opened.
        max_pixels: images with more pixels are refused.

    Raises:
        BadImage: a file is missing, empty, no image or too large.
        TransientError: a remote place failed in a way that another try may mend.
        BadInput: an address holds a password.
    """
    refuse_passwords(locations)
    for location in locations:
        if "://" not in location:
            check_header(Path(location), max_pixels=max_pixels)
        elif not is_there(location):
            raise BadImage(f"{shown(location)} does not exist; check the address")


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
