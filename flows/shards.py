"""A run of very many images, cut into runs of some thousands that can be run again each.

A shard is an ordinary run over a list of locations. Shards take place in this process, one after
the other, or as runs of the deployment `run/shard`, which has a queue of its own. A parent never
waits for a worker that it keeps busy itself: it takes up shards that nobody has begun. Whoever
does a shard a second time finds its results in the store.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.deployments import run_deployment
from prefect.states import Cancelled

from zeropan.errors import TooManyFailures
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.machine.files import write_whole
from zeropan.reports.run import LISTED, RunReport, StageTotal
from zeropan.request.recorded import RecordedRun
from zeropan.request.setup import How, Setup
from zeropan.request.sources import Images, title_of
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.search import put_below

DEPLOYMENT = "run/shard"
ASK_EVERY_S = 2.0


def run_in_shards(job: Job, images: Images, report: RunReport) -> RunReport:
    """Cut images into shards, run each, and add up what came of them.

    Args:
        job: words, parameters, models and places.
        images: location → what is known of the image there.
        report: what is known of the run from the beginning; it is added to.

    Raises:
        TooManyFailures: more images failed than are allowed.
    """
    setup = _of_a_shard(job)
    lists = list(_write_lists(job.places.home / "runs", images, job.setup.how.shard_size))
    title = f"{title_of(report.sources)} in {len(lists)} shards"
    shards = _in_pool(lists, setup) if job.setup.how.shards == "pool" else _here(lists, setup)
    return _sum_up(job, title, report, shards)


def rerun_shards(
    job: Job, recorded: RecordedRun, report: RunReport, changes: list[str], from_stage: str | None
) -> RunReport:
    """Run every part of a recorded run again, and add up what came of them.

    Args:
        job: the whole run's words, parameters, models and places.
        recorded: the run that was cut into parts.
        report: what is known of the new run from the beginning; it is added to.
        changes: parameters to change.
        from_stage: compute this stage and those below it, stored or not.

    Raises:
        TooManyFailures: more images failed than are allowed.
    """
    how = _of_a_shard(job).how

    def each() -> Iterator[dict[str, Any]]:
        for run_id in recorded.inputs.shards:
            part = rerun_one(run_id, changes, from_stage, how)
            report.total += part["total"]
            yield part

    return _sum_up(job, f"{recorded.found.name}, again", report, each())


def rerun_one(run: str, changes: list[str], from_stage: str | None, how: How) -> dict[str, Any]:
    """A recorded shard as a run below this one; its report."""
    from zeropan.flows.rerun_recorded import rerun

    try:
        found: Any = rerun(run, changes, from_stage, how)
    except TooManyFailures as error:
        return error.report
    return dict(found)


def _sum_up(job: Job, title: str, report: RunReport, shards: Iterator[dict[str, Any]]) -> RunReport:
    """Go through shards and record the whole as one MLflow run above theirs."""
    started = time.monotonic()
    journal = Journal.open(job, title=title)
    failed: TooManyFailures | None = None
    try:
        for shard in shards:
            _add(report, shard)
            report.seconds = time.monotonic() - started
        if report.failed > job.setup.how.max_failures:
            failed = TooManyFailures(
                f"{report.failed} of {report.done} images failed, more than the "
                f"{job.setup.how.max_failures} allowed; --retry-failed takes up only these",
                report=report.plain(),
            )
        _put_below(journal, report.shards)
        journal.log_shards(job, title, report.shards)
        journal.log_metrics(report.metrics())
        journal.describe(report.markdown())
    except BaseException:
        journal.close("FAILED")
        raise
    journal.close("FAILED" if failed else "FINISHED")
    report.tracking_uri, report.tracking_run_id = journal.uri, journal.run_id
    report.tracking_link = journal.link
    report.warnings += [one for one in journal.warnings if one not in report.warnings]
    if failed is not None:
        raise failed
    return report


def _of_a_shard(job: Job) -> Setup:
    """The setup of every shard: the same places, and all of its list."""
    how = job.setup.how.model_copy(
        update={
            "home": str(job.places.home),
            "store": job.places.store_url,
            "output": str(job.places.output),
            "name": None,
            "limit": None,
            "shuffle_seed": None,
            "retry_failed": False,
            "shards": "here",
        }
    )
    return job.setup.model_copy(update={"how": how})


def _write_lists(folder: Path, images: Images, size: int) -> Iterator[Path]:
    """A list of locations for each shard, in a folder named by what is in them."""
    digest = hashlib.sha256("\n".join(images).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    target = folder / f"shards-{digest}"
    target.mkdir(parents=True, exist_ok=True)
    rest = iter(images)
    for number in range(-(-len(images) // size)):
        path = target / f"shard-{number:04d}.txt"
        lines = "".join(f"{location}\n" for location in islice(rest, size))
        write_whole(path, lines.encode("utf-8", "surrogateescape"))
        yield path


def _here(lists: Sequence[Path], setup: Setup) -> Iterator[dict[str, Any]]:
    for path in lists:
        yield _run(path, setup)


def _run(path: Path, setup: Setup) -> dict[str, Any]:
    """One shard as a run below this one; its report, also where too many of its images failed."""
    from zeropan.flows.run import run

    try:
        found: Any = run([str(path)], setup)
    except TooManyFailures as error:
        return error.report
    return dict(found)


def _in_pool(lists: Sequence[Path], setup: Setup) -> Iterator[dict[str, Any]]:
    """Shards as runs of a deployment; this process takes up those that no worker has begun."""
    parameters = {"setup": setup.model_dump(mode="json")}
    waiting: dict[UUID, Path] = {}
    for path in lists:
        begun: Any = run_deployment(
            DEPLOYMENT, parameters={"sources": [str(path)], **parameters}, timeout=0,
            as_subflow=False,
        )  # fmt: skip
        waiting[begun.id] = path
    # From the end, since workers begin at the front.
    for run_id, path in reversed(list(waiting.items())):
        if _take_back(run_id):
            del waiting[run_id]
            yield _run(path, setup)
    while waiting:
        for run_id, path in list(waiting.items()):
            state = _state(run_id)
            if state == StateType.COMPLETED:
                yield _report_of(setup, run_id) or _run(path, setup)
            elif state in (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED):
                yield _run(path, setup)
            else:
                continue
            del waiting[run_id]
        if waiting:
            time.sleep(ASK_EVERY_S)


def _take_back(run_id: UUID) -> bool:
    """Cancel a run that nobody has begun; whether it was so."""
    if _state(run_id) is not StateType.SCHEDULED:
        return False
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Cancelled(message="done by the run that asked for it"))
    return _state(run_id) is StateType.CANCELLED


def _state(run_id: UUID) -> StateType | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state_type


def _report_of(setup: Setup, run_id: UUID) -> dict[str, Any] | None:
    """What a finished run wrote about itself, where its home is this one's."""
    try:
        found: dict[str, Any] = json.loads(
            (Path(str(setup.how.home)) / "runs" / f"{run_id}.json").read_bytes()
        )
    except (OSError, ValueError):
        return None
    return found


def _add(report: RunReport, shard: dict[str, Any]) -> None:
    """Add what came of a shard."""
    part = RunReport.model_validate(shard)
    report.computed += part.computed
    report.cached += part.cached
    report.failed += part.failed
    report.mended += part.mended
    report.things += part.things
    report.stuff += part.stuff
    report.task_runs += part.task_runs
    for stage, total in part.stages.items():
        mine = report.stages.setdefault(stage, StageTotal())
        mine.computed += total.computed
        mine.cached += total.cached
        mine.seconds += total.seconds
    report.images = (report.images + part.images)[:LISTED]
    report.failures = (report.failures + part.failures)[:LISTED]
    report.warnings += [one for one in part.warnings if one not in report.warnings]
    if part.tracking_run_id:
        report.shards.append(part.tracking_run_id)


def _put_below(journal: Journal, shards: Sequence[str]) -> None:
    if not shards or not journal.run_id:
        return
    try:
        put_below(journal.settings, list(shards), journal.run_id)
    except TrackingError as error:
        journal.warnings.append(str(error))
