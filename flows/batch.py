"""A few images as one Prefect task: the unit that runners hand to their workers.

An image whose result is stored is answered from the store without any task run; the others go
through the chain of cached tasks. One image that cannot be segmented does not stop the others.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

from prefect import task
from prefect.cache_policies import NO_CACHE

from zeropan.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    BadConfig,
    StoreError,
    TransientError,
    WeightsError,
    ZeropanError,
)
from zeropan.evaluation.comparison import compare
from zeropan.flows.ahead import Ready, read_ahead
from zeropan.flows.chain import run_chain
from zeropan.flows.gallery import OVERLAY, Gallery
from zeropan.flows.job import Job
from zeropan.flows.outputs import output_files, write_overlay, write_panoptic
from zeropan.reports.change import Change
from zeropan.reports.progress import report
from zeropan.reports.rows import ImageRow
from zeropan.request.sources import Images
from zeropan.segmentation.images import shown
from zeropan.segmentation.records import Panoptic
from zeropan.storage.failures import FailureList
from zeropan.storage.seen import SeenImages
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.pixels import Pixels
from zeropan.tasks.work import ImageWork, StageOutcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """A few images of a run."""

    images: Images
    first: int
    """Number of the first one in the whole run."""
    total: int
    """Images of the whole run."""
    threads: int | None
    """Threads for arithmetic in the process that works on it; None leaves the usual."""
    pictures: tuple[str, ...]
    """Which pictures are drawn of the run's first images."""


@task(
    name="segment-batch",
    task_run_name="segment-batch {batch.first}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def segment_batch(job: Job, batch: Batch) -> list[ImageRow]:
    """Segment a few images one after the other.

    Args:
        job: words, parameters, models and places.
        batch: the images.

    Returns:
        A row for each image, in order.

    Raises:
        StoreError: nothing can be stored, so that going on would be in vain.
        BadConfig, WeightsError: no image can be segmented so.
    """
    if batch.threads is not None:
        import torch

        torch.set_num_threads(batch.threads)
    with Pixels().shared() as pixels:
        return _Worker(job, batch, pixels).run()


@dataclass
class _Worker:
    """One process's work on a batch."""

    job: Job
    batch: Batch
    pixels: Pixels
    written: list[Future[None]] = field(default_factory=list)

    def run(self) -> list[ImageRow]:
        job, batch = self.job, self.batch
        self.gallery = Gallery(job.places.home)
        remembered = FailureList(job.places.store_url, job.request_digest)
        seen = SeenImages(job.places.home / "seen.db")
        rows: list[ImageRow] = []
        read: list[tuple[str, str, str]] = []
        with ThreadPoolExecutor(1, thread_name_prefix="write") as self.writer:
            ahead = read_ahead(job, batch.images, self.pixels, seen)
            for number, (location, ready) in enumerate(ahead, start=batch.first):
                report(number, batch.total, shown(location).rpartition("/")[2])
                row = self._segment(number, location, ready)
                if row.failed:
                    remembered.add(row.image, row.reason, row.kind)
                elif mark := ready.result().fingerprint:
                    read.append((location, mark, row.sha256))
                rows.append(row)
            for future in self.written:
                future.result()
        seen.remember(read)
        remembered.drop(row.image for row in rows if not row.failed)
        return rows

    def _segment(self, number: int, location: str, future: Future[Ready]) -> ImageRow:
        started = perf_counter()
        try:
            row = self._row(number, future.result())
        except (BadConfig, WeightsError):
            raise  # Every other image would fail as well.
        except ZeropanError as error:
            if isinstance(error, StoreError) and not isinstance(error, KeyError | ValueError):
                raise  # The place itself, such as a full disk: every other image would fail, too.
            row = _failed(location, error)
        except Exception as error:  # What one image provokes in a model must not cost the others.
            logger.exception("%s could not be segmented", shown(location))
            row = _failed(location, error)
        return row.model_copy(update={"seconds": round(perf_counter() - started, 3)})

    def _row(self, number: int, ready: Ready) -> ImageRow:
        work = ready.work
        in_full = number < self.job.setup.how.pictures
        try:
            outcomes: list[StageOutcome] = []
            if ready.stored is None or in_full:
                # Of an image that is described in full, each stage is asked what it has.
                outcomes = self._chain(number, work)
                found = outcomes[-1].result
            else:
                said = ready.stored.provenance.get("result")
                found = said if isinstance(said, dict) else {}
            files = output_files(self.job.places.output, work)
            row = ImageRow(
                image=shown(work.image.location),
                sha256=work.image.sha256,
                status="computed" if any(one.how == "computed" for one in outcomes) else "cached",
                things=int(found.get("things", 0)),
                stuff=int(found.get("stuff", 0)),
                coverage=float(found.get("coverage", 0.0)),
                stages=outcomes,
                panoptic_png=str(files.panoptic_png),
                panoptic_json=str(files.panoptic_json),
                mended=sum(outcome.mended for outcome in outcomes),
            )
            if in_full or self.job.origin is not None:
                row = self._described(row, work, in_full)
            if not files.panoptic_json.exists():
                self.written.append(self.writer.submit(write_panoptic, files, work))
            return row
        finally:
            self.pixels.forget(work.image.sha256)

    def _chain(self, number: int, work: ImageWork) -> list[StageOutcome]:
        as_tasks = self.job.setup.how.task_runs == "stages"
        return run_chain(work, done=number, total=self.batch.total, as_tasks=as_tasks)

    def _described(self, row: ImageRow, work: ImageWork, in_full: bool) -> ImageRow:
        """Add what is read from the result itself: its segments, its change, its pictures."""
        panoptic = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
        segments: dict[str, int] = {}
        for segment in panoptic.segments_info:
            name = work.categories.by_id(segment.category_id).name
            segments[name] = segments.get(name, 0) + 1
        said: dict[str, object] = {"segments": segments}
        before = self.job.previous(work.image)
        if before is not None:
            said["change"] = Change.of(compare(before, panoptic), work.categories)
        if in_full and self.batch.pictures:
            said |= self._drawn(work)
        return row.model_copy(update=said)

    def _drawn(self, work: ImageWork) -> dict[str, object]:
        """Draw the pictures while the pixels are at hand; a fault costs a warning, no result."""
        files = output_files(self.job.places.output, work)
        try:
            shown_ = self.gallery.pictures(work, self.batch.pictures)
        except (ArtifactMissing, ArtifactDamaged) as error:
            return {"warning": f"the pictures were not drawn: {error}"}
        said: dict[str, object] = {"warning": shown_.missing or ""}
        if OVERLAY in shown_.pictures:
            write_overlay(files, shown_.pictures[OVERLAY])
            said["overlay"] = str(files.overlay)
        return said


def _failed(location: str, error: Exception) -> ImageRow:
    reason = str(error) if isinstance(error, ZeropanError) else f"{type(error).__name__}: {error}"
    if isinstance(error, TransientError):
        reason += "; --retry-failed takes it up again"
    return ImageRow(
        image=shown(location),
        status="failed",
        reason=" ".join(reason.split()),
        kind=type(error).__name__,
    )
