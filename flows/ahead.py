"""What is done for the next images while the models work on this one: looked up, read, decoded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from zeropan.errors import BadImage
from zeropan.flows.job import Job
from zeropan.request.sources import Images, Known
from zeropan.segmentation.images import read_image_bytes
from zeropan.storage.marker import Marker
from zeropan.storage.seen import SeenImages, fingerprint
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.pixels import Pixels
from zeropan.tasks.work import PERCEPTION, ImageRef, ImageWork, image_digest

AHEAD = 2
"""Images that are read and decoded while the models work on another one."""
LOOKUPS = 8
"""Images that are looked up at a time: with a store in a bucket, looking up is waiting."""


@dataclass(frozen=True)
class Ready:
    """An image and all that its tasks need; its pixels are decoded if they will be wanted."""

    work: ImageWork
    stored: Marker | None
    """Its result, if that is stored already."""
    fingerprint: str | None = None
    """That of the bytes, if they were read just now and the place has one."""


def read_ahead(
    job: Job, images: Images, pixels: Pixels, seen: SeenImages
) -> Iterator[tuple[str, Future[Ready]]]:
    """Go through images in their order, a few of them ahead of the caller.

    Args:
        job: words, parameters, models and places.
        images: location → what is known of the image there.
        pixels: images that will be wanted are decoded into it.
        seen: which bytes the locations held when they were last read.

    Yields:
        Each location, and the future of what there is of it. The future raises BadImage or
        TransientError where the image cannot be read, and StoreError where the store cannot.
    """
    with (
        ThreadPoolExecutor(LOOKUPS, thread_name_prefix="look-up") as looker,
        ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
    ):
        looked_up = {
            location: looker.submit(_look_up, job, location, known, seen)
            for location, known in images.items()
        }
        ahead: list[tuple[str, Future[Ready]]] = []
        try:
            for location, found in looked_up.items():
                ahead.append((location, reader.submit(_prepare, job, location, found, pixels)))
                if len(ahead) > AHEAD:
                    yield ahead.pop(0)
            while ahead:
                yield ahead.pop(0)
        finally:
            for _, future in ahead:
                future.cancel()


@dataclass(frozen=True)
class _Unread:
    """An image whose bytes have to be read."""

    fingerprint: str | None
    """Before they are read."""
    recorded: ImageWork | None = None
    """Of a recorded run's image, which is named by its bytes."""


def _look_up(job: Job, location: str, known: Known, seen: SeenImages) -> Ready | _Unread:
    """What can be known of an image without reading it."""
    mark = known.fingerprint or (None if known.sha256 else fingerprint(location))
    sha256 = known.sha256 or seen.digest(location, mark)
    if not sha256:
        return _Unread(mark)
    work = job.work(ImageRef(location=location, sha256=sha256))
    stored = _stored(job, work)
    if stored is None and not _perceived(work):
        return _Unread(mark, work if known.sha256 else None)
    return Ready(work, stored)


def _prepare(job: Job, location: str, looked_up: Future[Ready | _Unread], pixels: Pixels) -> Ready:
    """Read the image, unless that is not needed; decode it, unless its pixels are not."""
    found = looked_up.result()
    if isinstance(found, Ready):
        return found
    if found.recorded is not None:
        # Where it is gone or another one by now, the first task that wants its pixels says so,
        # and those before it still do what they can.
        with contextlib.suppress(BadImage):
            data = read_image_bytes(location)
            if image_digest(data) == found.recorded.image.sha256:
                _keep(pixels, data, found.recorded)
        return Ready(found.recorded, None)
    data = read_image_bytes(location)
    same = found.fingerprint is not None and fingerprint(location) == found.fingerprint
    work = job.work(ImageRef(location=location, sha256=image_digest(data)))
    stored = _stored(job, work)
    if stored is None and not _perceived(work):
        _keep(pixels, data, work)
    return Ready(work, stored, found.fingerprint if same else None)


def _keep(pixels: Pixels, data: bytes, work: ImageWork) -> None:
    pixels.keep(data, work.image, max_pixels=work.max_pixels)


def _stored(job: Job, work: ImageWork) -> Marker | None:
    return None if job.force else ArtifactStore(work.store_url).find(work.key("panoptic"))


def _perceived(work: ImageWork) -> bool:
    """Whether no task will ask for pixels, unless an artifact turns out to be damaged."""
    store = ArtifactStore(work.store_url)
    keys = [key for stage in PERCEPTION for key in work.artifacts(stage)]
    return not work.force and all(store.is_marked(key) for key in keys)
