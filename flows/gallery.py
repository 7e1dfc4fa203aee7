"""The pictures of an image's steps: drawn once, and taken from the cache after that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zeropan.flows.outputs import read_steps
from zeropan.pictures.cache import PictureCache
from zeropan.pictures.encoding import EncodedPicture, encoded
from zeropan.pictures.panels import PANELS, panels
from zeropan.segmentation.records import Panoptic
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import ImageWork, Stage

OVERLAY = PANELS[-1]

_SHOWS: dict[str, Stage | None] = {
    "panels/00 input": None,
    "panels/01 boxes": "things",
    "panels/02 thing masks": "things",
    "panels/03 heat maps": "score_stuff",
    "panels/04 stuff regions": "stuff_regions",
    "panels/05 points": "stuff_masks",
    "panels/06 stuff masks": "stuff_masks",
    "panels/07 overlay": "panoptic",
}
"""The last stage that a picture shows; its digest stands for everything above it."""


@dataclass(frozen=True)
class ImagePictures:
    """One image's result and its pictures."""

    panoptic: Panoptic
    pictures: dict[str, EncodedPicture]
    """By key of `PANELS`, in their order."""
    missing: str | None
    """A sentence where the image itself is gone."""


class Gallery:
    """Draws what has not been drawn before.

    Args:
        home: the cache is below it.
    """

    def __init__(self, home: Path) -> None:
        self._cache = PictureCache(home / "pictures")

    def pictures(self, work: ImageWork, keys: tuple[str, ...] = PANELS) -> ImagePictures:
        """The pictures of an image whose stages are all stored."""
        known = {key: self._cache.get(*_parts(work, key)) for key in keys}
        absent = [key for key, picture in known.items() if picture is None]
        if not absent:
            panoptic = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
            found = {key: picture for key, picture in known.items() if picture is not None}
            return ImagePictures(panoptic, found, None)
        steps, missing = read_steps(work)
        drawn = {key: encoded(pixels) for key, pixels in panels(steps, absent).items()}
        if missing is None:
            for key, picture in drawn.items():
                self._cache.put(picture, *_parts(work, key))
        return ImagePictures(
            steps.panoptic, {key: known[key] or drawn[key] for key in keys}, missing
        )

    def trim(self) -> None:
        """Keep the cache within its size; call it at the end of a run."""
        self._cache.trim()


def _parts(work: ImageWork, key: str) -> tuple[str, ...]:
    """Everything that a picture depends on: what it shows, and the words written on it."""
    stage = _SHOWS[key]
    shown = work.image.sha256 if stage is None else work.digests[stage]
    return key, shown, work.categories.model_dump_json()
