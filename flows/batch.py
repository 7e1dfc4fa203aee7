"""A few images of a data set as one Prefect task: the unit that runners hand to their workers.

An image whose result is stored is answered from the store without any task run; the others go
through the chain of cached tasks. One image that cannot be segmented does not stop the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

from prefect import task
from prefect.cache_policies import NO_CACHE

from zeropan.choices import TaskRuns
from zeropan.errors import BadConfig, StoreError, TransientError, WeightsError, ZeropanError
from zeropan.flows.ahead import Ready, read_ahead
from zeropan.flows.chain import run_chain
from zeropan.flows.job import Job
from zeropan.flows.outputs import output_files, write_panoptic
from zeropan.flows.progress import report
from zeropan.reports.rows import ImageRow
from zeropan.segmentation.images import shown
from zeropan.storage.failures import FailureList
from zeropan.storage.seen import SeenImages

logger = logging.getLogger(__name__)


@task(
    name="segment-batch",
    task_run_name="segment-batch {first}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def segment_batch(
    job: Job,
    images: Mapping[str, str | None],
    failures: str,
    first: int,
    total: int,
    threads: int | None,
    task_runs: TaskRuns = "stages",
) -> list[ImageRow]:
    """Segment a few images one after the other.

    Args:
        job: words, parameters, models and places; its own images are ignored.
        images: location → fingerprint that its listing gave, if it did.
        failures: the digest under which failures of this request are remembered.
        first: number of the batch's first image in the whole run, for the progress report.
        total: images of the whole run.
        threads: threads for arithmetic in this process; None leaves the usual.
        task_runs: stages: one task run for each stage of each image; batches: only this one.

    Returns:
        A row for each image, in order.

    Raises:
        StoreError: nothing can be stored, so that going on would be in vain.
        BadConfig, WeightsError: no image can be segmented so.
    """
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    remembered = FailureList(job.places.store_url, failures)
    seen = SeenImages(job.places.home / "seen.db")
    rows: list[ImageRow] = []
    read: list[tuple[str, str, str]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
        written: list[Future[None]] = []
        for number, (location, ready) in enumerate(read_ahead(job, images, seen)):
            report(first + number, total, shown(location).rpartition("/")[2])
            row = _segment(job, location, ready, writer, written, task_runs == "stages")
            if row.status == "failed":
                remembered.add(row.image, row.reason, row.kind)
            rows.append(row)
            if row.status != "failed" and (mark := ready.result().fingerprint):
                read.append((location, mark, row.sha256))
        for future in written:
            future.result()
    seen.remember(read)
    remembered.drop(row.image for row in rows if row.status != "failed")
    return rows


def _segment(
    job: Job,
    location: str,
    future: Future[Ready],
    writer: ThreadPoolExecutor,
    written: list[Future[None]],
    as_tasks: bool,
) -> ImageRow:
    started = perf_counter()
    try:
        ready = future.result()
        work = ready.work
        mended = 0
        if ready.stored is None:
            outcomes = run_chain(work, as_tasks=as_tasks)
            result = outcomes[-1].result
            mended = sum(outcome.mended for outcome in outcomes)
            status = "computed" if any(one.how == "computed" for one in outcomes) else "cached"
        else:
            said = ready.stored.provenance.get("result")
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
    except (BadConfig, WeightsError):
        raise  # Every other image would fail as well.
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
