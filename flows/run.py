"""The flow that segments images: one, a folder that fills up, a bucket, a list.

Read next: flows/recording.py, what is kept of a run; flows/engine.py, how it goes through its
images; flows/chain.py, the steps.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from zeropan.errors import BadCategories
from zeropan.flows.job import Job
from zeropan.flows.recording import Recording, due, ended, record, report_fields
from zeropan.flows.shards import run_in_shards
from zeropan.reports.run import RunReport
from zeropan.request.release_0_1 import takes_release_0_1
from zeropan.request.setup import Setup
from zeropan.request.sources import find_images, title_of


@flow(name="run", flow_run_name="run {sources}", validate_parameters=True, result_serializer="json")
@takes_release_0_1
def run(sources: list[str], setup: Setup) -> Any:
    """Segment every image of the sources that has no result yet.

    Args:
        sources: image files, folders, globs, COCO image lists or .txt lists; paths or fsspec URLs.
        setup: what is asked of them, and how it is done.

    Raises:
        BadInput: a source does not exist or holds no image, or there are no words.
        TooManyFailures: more images failed than are allowed, or all of them, unless these are
            images that had failed before.
    """
    return run_images(sources, setup)


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
