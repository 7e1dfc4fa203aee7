"""One pass through a data set: batches in flight, progress, failures, and the record of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed

from zeropan.choices import Runner, TaskRuns
from zeropan.errors import TooManyFailures
from zeropan.flows.batch import segment_batch
from zeropan.flows.gallery import Gallery
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.progress import report as report_progress
from zeropan.flows.runners import task_runner, threads_each
from zeropan.reports.dataset import DatasetReport
from zeropan.reports.rows import ImageRow
from zeropan.tasks.work import ImageRef

BATCH = 16
"""Images of one task: few enough that the progress is seen, enough that the task costs nothing."""
MOST_RECORDED = 20_000
"""A run with more images does not record each, and so cannot be run again by its id."""
ARTIFACT_EVERY_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What a run over a data set is to do."""

    job: Job
    images: dict[str, str | None]
    failures: str
    runner: Runner
    task_runs: TaskRuns
    workers: int
    max_failures: int
    retry_failed: bool
    pictures: int
    title: str


def work_through(plan: Plan, report: DatasetReport) -> Any:
    """Segment the images of a plan, a batch at a time, and record what came of it.

    Returns:
        The flow's final state, with the report.

    Raises:
        TooManyFailures: more images failed than are allowed, or all of them.
    """
    journal = Journal.open(plan.job, title=plan.title)
    started = time.monotonic()
    table = plan.job.places.home / "runs" / f"{report.flow_run_id}.jsonl"
    report.table = str(table)
    refs: list[ImageRef] = []
    verdict: TooManyFailures | None = None
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", encoding="utf-8") as file:
            for rows in _batches(plan, report):
                report.add(rows, plan.task_runs)
                report.seconds = time.monotonic() - started
                _write_rows(file, rows)
                _draw(plan, journal, rows, len(refs))
                refs += [
                    ImageRef(location=row.image, sha256=row.sha256)
                    for row in rows
                    if row.sha256 and len(refs) < MOST_RECORDED
                ]
                verdict = _verdict(plan, report)
                if verdict is not None:
                    break
        _conclude(plan, journal, report, refs, table)
    except BaseException:
        journal.close("FAILED", [])
        raise
    journal.close("FAILED" if verdict else "FINISHED", [])
    report.tracking_uri = journal.uri
    report.tracking_run_id = journal.run_id
    report.tracking_link = journal.link
    report.warnings = journal.warnings
    if verdict is not None:
        raise verdict
    return _ended(report)


def _batches(plan: Plan, report: DatasetReport) -> Iterator[list[ImageRow]]:
    """The rows of each batch, in order; a few batches are in flight, never all of them."""
    total = len(plan.images)
    threads = threads_each(plan.runner, plan.workers)
    flying: deque[PrefectFuture[list[ImageRow]]] = deque()
    progress = _Progress(total)
    images = iter(plan.images.items())
    with ExitStack() as stack:
        if total:
            runner = stack.enter_context(task_runner(plan.runner, plan.workers))
        # Batches that were not begun must not keep a failed run alive.
        stack.callback(_cancel_all, flying)
        for first in range(0, total, BATCH):
            parameters = {
                "job": plan.job,
                "images": dict(islice(images, BATCH)),
                "failures": plan.failures,
                "first": first,
                "total": total,
                "threads": threads,
                "task_runs": plan.task_runs,
            }
            flying.append(runner.submit(segment_batch, parameters=parameters))
            if len(flying) > 2 * plan.workers:
                yield progress.after(flying.popleft().result(), report)
        while flying:
            yield progress.after(flying.popleft().result(), report)


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
        self._told = time.monotonic()
        self._artifact = cast(
            UUID,
            create_progress_artifact(
                progress=0.0, key="zeropan-progress", description=f"0 of {total} images"
            ),
        )

    def after(self, rows: list[ImageRow], report: DatasetReport) -> list[ImageRow]:
        self._done += len(rows)
        report_progress(self._done, self._total, "segmenting")
        now = time.monotonic()
        if now - self._told > ARTIFACT_EVERY_S or self._done == self._total:
            self._told = now
            failed = report.failed + sum(row.status == "failed" for row in rows)
            update_progress_artifact(
                artifact_id=self._artifact,
                progress=100.0 * self._done / self._total,
                description=f"{self._done} of {self._total} images, {failed} failed, "
                f"{report.rate:.2f} images a second",
            )
        return rows


def _write_rows(file: IO[str], rows: Sequence[ImageRow]) -> None:
    for row in rows:
        file.write(row.model_dump_json(exclude_defaults=True) + "\n")
    file.flush()


def _draw(plan: Plan, journal: Journal, rows: Sequence[ImageRow], before: int) -> None:
    """Draw and log the steps of the run's first images."""
    good = [row for row in rows if row.sha256][: max(0, plan.pictures - before)]
    gallery = Gallery(plan.job.places.home)
    for number, row in enumerate(good, start=before):
        work = plan.job.work(ImageRef(location=row.image, sha256=row.sha256))
        shown_ = gallery.pictures(work)
        if shown_.missing:
            journal.warnings.append(shown_.missing)
        journal.log_pictures(shown_.pictures, step=number)


def _conclude(
    plan: Plan, journal: Journal, report: DatasetReport, refs: list[ImageRef], table: Path
) -> None:
    journal.log_metrics(report.metrics())
    journal.log_files(
        {"images.jsonl": table.read_bytes(), "failures.json": report.failures_table()},
        folder="tables",
    )
    if 0 < len(refs) < MOST_RECORDED:
        done = plan.job.with_images(refs)
        journal.log_inputs(done, plan.title)
    journal.describe(report.markdown())
    create_table_artifact(
        table=[failure.model_dump() for failure in report.failures[:1000]],
        key="zeropan-failures",
        description=report.in_words(),
    )


def _verdict(plan: Plan, report: DatasetReport) -> TooManyFailures | None:
    # Images that failed before may well all fail again.
    every = 0 < report.failed == report.images and not plan.retry_failed
    if report.failed <= plan.max_failures and not every:
        return None
    first = report.failures[0]
    return TooManyFailures(
        f"{report.failed} of {report.done} images failed, "
        + ("which is all of them" if every else f"more than the {plan.max_failures} allowed")
        + f"; the first, {first.image}: {first.reason}; {report.table} lists them, and "
        "--retry-failed takes up only these"
    )


def _ended(report: DatasetReport) -> State[Any]:
    name = "CompletedWithFailures" if report.failed else "Completed"
    return Completed(name=name, message=report.in_words(), data=report.model_dump(mode="json"))
