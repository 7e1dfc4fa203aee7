"""The engine: the one way through images. A job and images in, one row an image out, in order.

Every command that works on images consumes it: `run`, `rerun`, `sweep` and `evaluate`. Read next:
flows/batch.py, what happens to each image; flows/chain.py, the steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from itertools import islice
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture

from zeropan.flows.batch import Batch, segment_batch
from zeropan.flows.job import Job
from zeropan.flows.runners import task_runner, threads_each
from zeropan.pictures.panels import PANELS
from zeropan.reports.progress import report as report_progress
from zeropan.reports.rows import ImageRow
from zeropan.request.sources import Images
from zeropan.segmentation.images import shown
from zeropan.storage.failures import FailureList

BATCH = 16
"""Images of one task: few enough that the progress is seen, enough that the task costs nothing."""
ARTIFACT_EVERY_S = 5.0


def due(job: Job, images: Images) -> Images:
    """The images that a job is to go through: all, or those that failed before."""
    if not job.setup.how.retry_failed:
        return images
    failed = {failure.location for failure in FailureList(job.places.store_url, job.request_digest)}
    return {image: known for image, known in images.items() if shown(image) in failed}


def segment_all(
    job: Job, images: Images, *, pictures: tuple[str, ...] = PANELS
) -> Generator[ImageRow, None, None]:
    """Segment images inside a flow, a batch at a time; closing the iterator ends the work.

    An image that has a result is answered from the store; one that cannot be segmented is
    remembered as failed and stops no other.

    Args:
        job: words, parameters, models, places, and how the work is done.
        images: location → what is known of the image there.
        pictures: which pictures are drawn of the first images.

    Yields:
        A row for each image, in order, as they are done.

    Raises:
        StoreError: nothing can be stored, so that going on would be in vain.
        BadConfig, WeightsError: no image can be segmented so.
    """
    how = job.setup.how
    total = len(images)
    if not total:
        return
    threads = threads_each(how.runner, how.workers)
    flying: deque[PrefectFuture[list[ImageRow]]] = deque()
    progress = _Progress(total)
    rest = iter(images.items())
    with ExitStack() as stack:
        runner = stack.enter_context(task_runner(how.runner, how.workers))
        # Batches that were not begun must not keep a failed run alive.
        stack.callback(_cancel_all, flying)
        for first in range(0, total, BATCH):
            batch = Batch(dict(islice(rest, BATCH)), first, total, threads, pictures)
            flying.append(runner.submit(segment_batch, parameters={"job": job, "batch": batch}))
            if len(flying) > 2 * how.workers:
                yield from progress.after(flying.popleft().result())
        while flying:
            yield from progress.after(flying.popleft().result())


def batches(images: int) -> int:
    """How many batches, each a task run of Prefect's, so many images make."""
    return -(-images // BATCH)


def _cancel_all(futures: Iterable[Any]) -> None:
    for future in futures:
        cancel = getattr(getattr(future, "wrapped_future", None), "cancel", None)
        if cancel is not None:
            cancel()


class _Progress:
    """Tells the terminal and, every few seconds, Prefect's UI how far the run is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._started = self._told = time.monotonic()
        self._artifact = cast(
            UUID,
            create_progress_artifact(
                progress=0.0, key="zeropan-progress", description=f"0 of {total} images"
            ),
        )

    def after(self, rows: list[ImageRow]) -> list[ImageRow]:
        self._done += len(rows)
        self._failed += sum(row.failed for row in rows)
        report_progress(self._done, self._total, "segmenting")
        now = time.monotonic()
        if now - self._told > ARTIFACT_EVERY_S or self._done == self._total:
            self._told = now
            rate = self._done / max(now - self._started, 1e-9)
            update_progress_artifact(
                artifact_id=self._artifact,
                progress=100.0 * self._done / self._total,
                description=f"{self._done} of {self._total} images, {self._failed} failed, "
                f"{rate:.2f} images a second",
            )
        return rows
