"""What the flow `run` does: find the images, and record the way through them."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from zeropan.errors import BadCategories
from zeropan.flows.job import Job
from zeropan.flows.recording import Recording, due, record, report_fields
from zeropan.flows.shards import run_in_shards
from zeropan.reports.run import RunReport
from zeropan.request.setup import Setup
from zeropan.request.sources import find_images, title_of


def run_images(sources: list[str], setup: Setup) -> State[Any]:
    """Segment the images of the sources inside a flow.

    Returns:
        The flow's final state, with the report as plain values.

    Raises:
        BadInput: a source does not exist or holds no image, or there are no words.
        TooManyFailures: more images failed than are allowed, or all of them.
    """
    if not setup.what.categories.ordered:
        raise BadCategories("no words were given; name at least one thing or stuff")
    job = Job.of(setup)
    how = setup.how
    found = find_images(sources, limit=how.limit, shuffle_seed=how.shuffle_seed)
    images = due(job, found)
    report = RunReport(command="run", **report_fields(job, sources, images))
    if len(images) > how.shard_size:
        return ended(run_in_shards(job, images, report))
    return ended(record(job, images, Recording("run", title_of(sources), report)))


def ended(report: RunReport) -> State[Any]:
    """The final state of a flow whose work is done: it says whether images failed."""
    name = "CompletedWithFailures" if report.failed else "Completed"
    return Completed(name=name, message=report.in_words(), data=report.plain())
