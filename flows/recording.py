"""A run's record: its table, its MLflow run, its Prefect artifacts, and whether it went well."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from zeropan.errors import TooManyFailures
from zeropan.flows.engine import batches, due, segment_all
from zeropan.flows.gallery import Gallery
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.machine.files import write_whole
from zeropan.pictures.panels import PANELS
from zeropan.reports.rows import ImageRow
from zeropan.reports.run import LISTED, RunReport
from zeropan.reports.terminal import table_rows
from zeropan.request.recorded import NAMED_TAG, Command
from zeropan.request.sources import Images
from zeropan.segmentation.images import shown
from zeropan.tasks.work import ImageRef

EachRow = Callable[[ImageRow, int], ImageRow]
"""Is told of each row and its number, and may say more about it."""


@dataclass(frozen=True)
class Recording:
    """What a run over images is, besides its job."""

    command: Command
    title: str
    """What the run is called after: its image or its sources."""
    report: RunReport
    pictures: tuple[str, ...] = PANELS
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the command was told besides its setup."""


def report_fields(job: Job, sources: list[str], images: Images) -> dict[str, Any]:
    """What every report says from the beginning."""
    return {
        "sources": [shown(source) for source in sources],
        "total": len(images),
        "home": str(job.places.home),
        "output": str(job.places.output),
        "store": shown(job.places.store_url),
        "flow_run_id": str(flow_run.get_id()),
        "rerun_of": job.origin.run_id if job.origin else None,
        "changed": {path: str(change) for path, change in job.changes.items()}
        if job.origin
        else {},
    }


def record(
    job: Job,
    images: Images,
    recording: Recording,
    *,
    each: EachRow | None = None,
    conclude: Callable[[Journal, RunReport], None] | None = None,
) -> RunReport:
    """Work through images inside a flow and record all that comes of it.

    Args:
        job: words, parameters, models and places.
        images: location → what is known of the image there; see `due`.
        recording: what the run is.
        each: told of each row; may add to it.
        conclude: called when all images are done, before the record is closed.

    Raises:
        TooManyFailures: more images failed than are allowed, or all of them; it holds the report.
    """
    if job.setup.how.name:
        job = replace(job, tags={**job.tags, NAMED_TAG: "yes"})
    journal = Journal.open(job, title=recording.title)
    report = recording.report
    started = time.monotonic()
    table = job.places.home / "runs" / f"{report.flow_run_id}.jsonl"
    report.table = str(table)
    refs: list[ImageRef] = []
    verdict: str | None = None
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", encoding="utf-8") as file:
            rows = segment_all(job, images, pictures=recording.pictures)
            for number, found in enumerate(rows):
                row = each(found, number) if each and not found.failed else found
                report.add(row, job.setup.how.task_runs)
                report.seconds = time.monotonic() - started
                file.write(row.line() + "\n")
                if row.sha256:
                    refs.append(ImageRef(location=row.image, sha256=row.sha256))
                if number < job.setup.how.pictures and not row.failed:
                    _log_image(job, journal, row, number, recording.pictures)
                verdict = _verdict(job, report)
                if verdict is not None:
                    rows.close()
                    break
        report.task_runs += batches(report.done)
        if conclude is not None:
            conclude(journal, report)
        _conclude(job, journal, recording, refs)
    except BaseException:
        journal.close("FAILED")
        raise
    journal.close("FAILED" if verdict else "FINISHED")
    Gallery(job.places.home).trim()
    report.tracking_uri = journal.uri
    report.tracking_run_id = journal.run_id
    report.tracking_link = journal.link
    report.warnings += [one for one in journal.warnings if one not in report.warnings]
    _publish(report)
    # For whoever started this run and was not told: a parent of shards, or a person.
    about = json.dumps(report.plain(), ensure_ascii=False)
    write_whole(table.with_suffix(".json"), about.encode("utf-8", "surrogateescape"))
    if verdict is not None:
        raise TooManyFailures(verdict, report=report.plain())
    return report


def _log_image(
    job: Job, journal: Journal, row: ImageRow, number: int, pictures: tuple[str, ...]
) -> None:
    """Log one of the first images: its numbers, its pictures, its files."""
    work = job.work(ImageRef(location=row.image, sha256=row.sha256))
    journal.log_image(row, work, number, pictures)


def _conclude(job: Job, journal: Journal, recording: Recording, refs: list[ImageRef]) -> None:
    report = recording.report
    journal.log_metrics(report.metrics())
    journal.log_files(
        {
            "images.jsonl": Path(report.table).read_bytes(),
            "failures.json": report.failures_table(),
        },
        folder="tables",
    )
    if refs:
        journal.log_inputs(job, recording.command, recording.title, refs, recording.options)
    journal.describe_run(report)


def _publish(report: RunReport) -> None:
    """Prefect artifacts: a table of the first images' stages, the failures, and a picture."""
    stages = [row for image in report.images[:20] for row in table_rows(image)]
    create_table_artifact(table=stages, key="zeropan-stages", description="What each stage did.")
    create_table_artifact(
        table=[failure.model_dump() for failure in report.failures[:LISTED]],
        key="zeropan-failures",
        description=report.in_words(),
    )
    overlay = next((row.overlay for row in report.images if row.overlay), None)
    if overlay is not None:
        create_link_artifact(
            link=report.tracking_link or Path(overlay).as_uri(),
            link_text=f"overlay of {Path(report.images[0].image).name}",
            key="zeropan-overlay",
            description=f"The panoptic overlay: {overlay}",
        )


def _verdict(job: Job, report: RunReport) -> str | None:
    """Why the run has failed, if it has."""
    how = job.setup.how
    # Images that failed before may well all fail again.
    every = 0 < report.failed == report.total and not how.retry_failed
    if report.failed <= how.max_failures and not every:
        return None
    first = report.failures[0]
    if report.total == 1:
        return first.reason
    return (
        f"{report.failed} of {report.done} images failed, "
        + ("which is all of them" if every else f"more than the {how.max_failures} allowed")
        + f"; the first, {first.image}: {first.reason}; {report.table} lists them, and "
        "--retry-failed takes up only these"
    )


def ended(report: RunReport) -> State[Any]:
    """The final state of a flow whose work is done: it says whether images failed."""
    name = "CompletedWithFailures" if report.failed else "Completed"
    return Completed(name=name, message=report.in_words(), data=report.plain())


__all__ = ["Recording", "due", "ended", "record", "report_fields"]
