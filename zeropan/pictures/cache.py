"""Pictures that are drawn once: a folder of encoded ones, by what they show.

It holds nothing that cannot be drawn again, so it may be deleted at any time. Its size is bounded:
the pictures that were not asked for the longest go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import EncodedPicture

LIMIT_BYTES = 512 * 1024**2
_VERSION = 1
"""Raised by hand when a picture of the same things is drawn otherwise."""


class PictureCache:
    """Encoded pictures in a folder; several processes may share it.

    Args:
        folder: made when the first picture is put in.
        limit_bytes: `trim` brings the folder's size below this.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._grew = False

    def get(self, *parts: str) -> EncodedPicture | None:
        """The picture of these parts, or None.

        Args:
            parts: everything that the picture depends on.
        """
        png, thumbnail = self._paths(parts)
        try:
            found = EncodedPicture(png.read_bytes(), thumbnail.read_bytes())
            os.utime(png)
        except OSError:
            return None
        return found if found.whole else None

    def put(self, picture: EncodedPicture, *parts: str) -> None:
        """Keep a picture. A folder that cannot be written to costs nothing but time."""
        png, thumbnail = self._paths(parts)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            # The PNG is written last: without it the pair does not count.
            for path, data in ((thumbnail, picture.thumbnail), (png, picture.png)):
                write_whole(path, data)
            self._grew = True

    def trim(self) -> None:
        """Remove the oldest pictures beyond the limit, if any were put in since the last time."""
        if not self._grew:
            return
        self._grew = False
        found = []
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.png"):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    found.append((status.st_mtime, status.st_size, path))
        size = sum(each for _, each, _ in found)
        for _, each, path in sorted(found):
            if size <= self._limit:
                break
            size -= each
            path.unlink(missing_ok=True)
            path.with_suffix(".webp").unlink(missing_ok=True)

    def _paths(self, parts: tuple[str, ...]) -> tuple[Path, Path]:
        name = hashlib.sha256("\0".join((str(_VERSION), *parts)).encode()).hexdigest()
        return self._folder / f"{name}.png", self._folder / f"{name}.webp"
