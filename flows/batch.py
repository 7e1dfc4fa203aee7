"""A few images of a data set as one Prefect task: the unit that runners hand to their workers.

An image whose result is stored is answered from the store without any task run; the others go
through the chain of cached tasks. One image that cannot be segmented does not stop the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows.chain import run_chain
from flows.job import Job
from flows.outputs import output_files, write_panoptic
from flows.progress import report
from segmentation.errors import StoreError, TransientError, WeightsError, ZeropanError
from segmentation.images import read_image_bytes, shown
from storage.failures import FailureList
from storage.marker import ArtifactRef
from storage.store import ArtifactStore
from tasks.pixels import keep
from tasks.work import STAGES, ImageRef, ImageWork, image_digest

logger = logging.getLogger(__name__)

AHEAD = 2
"""Images that are read and decoded while the models work on another one."""


class ImageRow(BaseModel):
    """What became of one image of a data set; small, since there may be millions."""

    image: str
    sha256: str = ""
    status: str
    """computed, cached or failed."""
    seconds: float = 0.0
    """Of this run's work on the image."""
    things: int = 0
    stuff: int = 0
    coverage: float = 0.0
    """Share of pixels that bear a label, 0 to 1."""
    result: str = ""
    """Path of the panoptic PNG."""
    mended: int = 0
    """Damaged artifacts that were found and computed again."""
    reason: str = ""
    """Of a failure: one sentence."""
    kind: str = ""
    """Of a failure: the error's class."""


@dataclass(frozen=True)
class _Ready:
    """An image that was read: its work, and its result if it is stored already."""

    work: ImageWork
    stored: ArtifactRef | None


@task(
    name="segment-batch",
    task_run_name="segment-batch {first}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def segment_batch(
    job: Job, locations: Sequence[str], failures: str, first: int, total: int, threads: int | None
) -> list[ImageRow]:
    """Segment a few images one after the other.

    Args:
        job: words, parameters, models and places; its own images are ignored.
        locations: the images.
        failures: the digest under which failures of this request are remembered.
        first: number of the batch's first image in the whole run, for the progress report.
        total: images of the whole run.
        threads: threads for arithmetic in this process; None leaves the usual.

    Returns:
        A row for each image, in order.

    Raises:
        StoreError: nothing can be stored, so that going on would be in vain.
        WeightsError: a model cannot be loaded.
    """
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    remembered = FailureList(job.places.store_url, failures)
    rows = []
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
        written: list[Future[None]] = []
        for number, (location, ready) in enumerate(_read_ahead(job, locations)):
            report(first + number, total, shown(location).rpartition("/")[2])
            row = _segment(job, location, ready, writer, written)
            if row.status == "failed":
                remembered.add(row.image, row.reason, row.kind)
            else:
                remembered.drop(row.image)
            rows.append(row)
        for future in written:
            future.result()
    return rows


def _read_ahead(job: Job, locations: Sequence[str]) -> Iterator[tuple[str, Future[_Ready]]]:
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        ahead: list[tuple[str, Future[_Ready]]] = []
        try:
            for location in locations:
                ahead.append((location, reader.submit(_read, job, location)))
                if len(ahead) > AHEAD:
                    yield ahead.pop(0)
            while ahead:
                yield ahead.pop(0)
        finally:
            for _, future in ahead:
                future.cancel()


def _read(job: Job, location: str) -> _Ready:
    """Read an image, and decode it unless its result is stored."""
    data = read_image_bytes(location)
    work = job.work(ImageRef(location=location, sha256=image_digest(data)))
    store = ArtifactStore(work.store_url)
    found = store.find(work.key("panoptic")) if not job.force else None
    if found is not None and store.is_whole(found):
        return _Ready(work, found)
    keep(data, work)
    return _Ready(work, None)


def _segment(
    job: Job,
    location: str,
    future: Future[_Ready],
    writer: ThreadPoolExecutor,
    written: list[Future[None]],
) -> ImageRow:
    started = perf_counter()
    try:
        ready = future.result()
        work = ready.work
        mended = 0
        if ready.stored is None:
            outcomes = run_chain(work)
            result = outcomes[-1].result
            mended = sum(outcome.mended for outcome in outcomes)
            status = "computed" if any(one.how == "computed" for one in outcomes) else "cached"
        else:
            said = ArtifactStore(work.store_url).provenance(ready.stored).get("result")
            result = said if isinstance(said, dict) else {}
            status = "cached"
        files = output_files(job.places.output, work)
        if not files.panoptic_json.exists():
            written.append(writer.submit(write_panoptic, files, work))
        return ImageRow(
            image=shown(location),
            sha256=work.image.sha256,
            status=status,
            seconds=round(perf_counter() - started, 3),
            things=int(result.get("things", 0)),
            stuff=int(result.get("stuff", 0)),
            coverage=float(result.get("coverage", 0.0)),
            result=str(files.panoptic_png),
            mended=mended,
        )
    except WeightsError:
        raise
    except ZeropanError as error:
        if isinstance(error, StoreError) and not isinstance(error, KeyError | ValueError):
            raise  # The place itself, such as a full disk: every other image would fail as well.
        return _failed(location, error, perf_counter() - started)
    except Exception as error:  # What one image provokes in a model must not cost the others.
        logger.exception("%s could not be segmented", shown(location))
        return _failed(location, error, perf_counter() - started)


def _failed(location: str, error: Exception, seconds: float) -> ImageRow:
    reason = str(error) if isinstance(error, ZeropanError) else f"{type(error).__name__}: {error}"
    if isinstance(error, TransientError):
        reason += "; --retry-failed takes it up again"
    return ImageRow(
        image=shown(location),
        status="failed",
        seconds=round(seconds, 3),
        reason=" ".join(reason.split()),
        kind=type(error).__name__,
    )


def task_runs_of(rows: Sequence[ImageRow]) -> int:
    """Task runs that these images took at the least, the batches themselves not counted."""
    return len(STAGES) * sum(row.status == "computed" for row in rows)
