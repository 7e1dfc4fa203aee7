"""What the flow `sweep` does: every point of a grid over the same images, each a nested run."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from prefect.client.schemas.objects import State

from zeropan.errors import BadInput
from zeropan.flows.engine import batches, segment_all
from zeropan.flows.evaluate_images import Judge, read_result, with_words
from zeropan.flows.gallery import OVERLAY
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.recording import ended, report_fields
from zeropan.reports.evaluation import quality_metrics
from zeropan.reports.rows import ImageRow
from zeropan.reports.sweep import PointReport, SweepReport
from zeropan.request.grid import Point, digest_of, parse_grid, points
from zeropan.request.places import Places
from zeropan.request.setup import Setup
from zeropan.request.sources import Images, Known, find_images, title_of
from zeropan.request.truth_sources import Source, open_source
from zeropan.tasks.work import ImageRef
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.search import put_below, runs_with_tag
from zeropan.tracking.summary import metrics_of

SWEEP_TAG = "zeropan.sweep"
POINT_TAG = "zeropan.sweep_point"
PICTURES = 4
"""Of how many images each point logs the overlay."""


def sweep_images(
    *,
    grid: list[str],
    images: list[str] | None = None,
    dataset: str | None = None,
    setup: Setup,
) -> State[Any]:
    """Run every point of a grid inside a flow; see the flow.

    Raises:
        BadInput: the grid is none, or neither images with words nor a data set were given.
    """
    axes = parse_grid(grid)
    every = points(setup.what.config, axes)
    source: Source | None = None
    if dataset is not None:
        source = open_source(dataset, Places.of(setup.how).home, limit=setup.how.limit)
        setup = with_words(setup, source)
        found: Images = dict.fromkeys(source.locations, Known())
    elif images and setup.what.categories.ordered:
        how = setup.how
        found = find_images(images, limit=how.limit, shuffle_seed=how.shuffle_seed)
    else:
        raise BadInput("a sweep needs images with words, or a data set; give one of the two")
    how = setup.how.model_copy(
        update={
            "name": setup.how.name or f"sweep {', '.join(p.rpartition('.')[2] for p in axes)}",
            "pictures": min(setup.how.pictures, PICTURES),
        }
    )
    job = Job.of(setup.model_copy(update={"how": how}))
    names = [dataset] if dataset else list(images or [])
    report = SweepReport(command="sweep", **report_fields(job, names, found))
    options = {"grid": grid, "images": images, "dataset": dataset}
    return ended(Sweep(job, found, every, source, report, options).run())


@dataclass
class Sweep:
    """The work of one sweep, inside its flow."""

    job: Job
    images: Images
    points: list[Point]
    source: Source | None
    """Where the truth is known."""
    report: SweepReport
    options: dict[str, Any]
    refs: list[ImageRef] = field(default_factory=list)
    """The images by their bytes, once a point has read them."""

    def run(self) -> SweepReport:
        """Run every point that no earlier sweep of this kind has finished."""
        started = time.monotonic()
        report = self.report
        tags = {"zeropan.points": str(len(self.points))}
        parent = Journal.open(replace(self.job, tags=tags), title=title_of(self.report.sources))
        try:
            # The first point says which images these are, by their bytes; no other is needed to
            # find what an earlier sweep of them has finished.
            first = list(segment_all(self._at(self.points[0]), self.images, pictures=(OVERLAY,)))
            self.refs = [
                ImageRef(location=row.image, sha256=row.sha256) for row in first if not row.failed
            ]
            digest = self._digest(first)
            parent.tag({SWEEP_TAG: digest})
            finished = self._finished_before(digest)
            self._adopt(finished, parent)
            for number, point in enumerate(self.points):
                done = finished.get(point.digest)
                rows = first if number == 0 else None
                report.points.append(done or self._point(point, parent, digest, rows))
            report.seconds = time.monotonic() - started
            if self.source is not None:
                report.best = max(
                    report.points, key=lambda one: one.metrics.get("quality/pq", 0.0)
                ).values
            self._conclude(parent)
        except BaseException:
            parent.close("FAILED")
            raise
        parent.close("FINISHED")
        report.tracking_uri, report.tracking_run_id = parent.uri, parent.run_id
        report.warnings += [one for one in parent.warnings if one not in report.warnings]
        return report

    def _digest(self, rows: list[ImageRow]) -> str:
        """What tells this sweep from others: its points, images, words and models."""
        material = {
            "images": [row.sha256 for row in rows],
            "words": self.job.setup.what.categories.model_dump(mode="json"),
            "models": [identity.sha256 for _, identity in self.job.models.items()],
            "truth": self.source is not None,
        }
        return digest_of(self.points, material)

    def _at(self, point: Point) -> Job:
        """The job of a point."""
        what = self.job.setup.what.model_copy(update={"config": point.config})
        return self.job.with_what(what).named(point.name)

    def _conclude(self, parent: Journal) -> None:
        report = self.report
        parent.log_metrics({"sweep/points": float(len(report.points))})
        parent.describe(report.markdown())
        content = json.dumps(report.plain(), ensure_ascii=False, indent=1)
        parent.log_files({"sweep.json": content.encode("utf-8", "surrogateescape")}, folder="")
        if self.refs:
            parent.log_inputs(self.job, "sweep", parent.name, self.refs, self.options)

    def _finished_before(self, digest: str) -> dict[str, PointReport]:
        """Points that an earlier sweep of this very kind has finished, by their digest."""
        try:
            runs = runs_with_tag(Journal.settings_of(self.job), SWEEP_TAG, digest)
        except (TrackingError, BadInput):
            return {}
        values = {point.digest: dict(point.values) for point in self.points}
        return {
            run.tags[POINT_TAG]: PointReport(
                values=values[run.tags[POINT_TAG]],
                metrics=dict(run.metrics),
                computed=0,
                seconds=0.0,
                run_id=run.run_id,
                resumed=True,
            )
            for run in reversed(runs)
            if run.status == "FINISHED" and run.tags.get(POINT_TAG) in values
        }

    def _adopt(self, finished: dict[str, PointReport], parent: Journal) -> None:
        """Show points that were finished before below this sweep's run."""
        runs = [point.run_id for point in finished.values() if point.run_id]
        if not runs or not parent.run_id:
            return
        try:
            put_below(parent.settings, runs, parent.run_id)
        except TrackingError as error:
            parent.warnings.append(str(error))

    def _point(
        self, point: Point, parent: Journal, digest: str, rows: list[ImageRow] | None
    ) -> PointReport:
        """Run all images at one point, unless they were, and log them as a run below the parent."""
        tags = {SWEEP_TAG: digest, POINT_TAG: point.digest}
        if parent.run_id:
            tags["mlflow.parentRunId"] = parent.run_id
        job = replace(self._at(point), tags=tags)
        journal = Journal.open(job, title=title_of(self.report.sources))
        try:
            found = rows or segment_all(job, self.images, pictures=(OVERLAY,))
            report = self._measure(job, point, journal, found)
        except BaseException:
            journal.close("FAILED")
            raise
        # One in which images failed is run again by the next sweep of this kind.
        journal.close("FAILED" if report.failed else "FINISHED")
        parent.warnings += [w for w in journal.warnings if w not in parent.warnings]
        return report

    def _measure(
        self, job: Job, point: Point, journal: Journal, rows: Iterable[ImageRow]
    ) -> PointReport:
        judge = Judge(job, self.source) if self.source else None
        values: dict[str, list[float]] = defaultdict(list)
        report = PointReport(
            values=dict(point.values), metrics={}, computed=0, seconds=0.0, run_id=journal.run_id
        )
        for number, found in enumerate(rows):
            row = judge.row(found, number) if judge and not found.failed else found
            self._count(row, report)
            if row.failed:
                continue
            work = job.work(ImageRef(location=row.image, sha256=row.sha256))
            for name, value in metrics_of(read_result(work), work.categories).items():
                values[name].append(value)
            if number < job.setup.how.pictures:
                journal.log_overlay(work, number)
        self.report.task_runs += batches(len(self.images))
        report.metrics = {name: sum(each) / len(each) for name, each in values.items()}
        if judge is not None:
            report.metrics |= quality_metrics(judge.categories, judge.total.result())
        journal.log_metrics(report.metrics | {"run/seconds": report.seconds})
        return report

    def _count(self, row: ImageRow, point: PointReport) -> None:
        self.report.add(row, self.job.setup.how.task_runs)
        point.failed += row.failed
        point.computed += sum(outcome.how == "computed" for outcome in row.stages)
        point.seconds += sum(outcome.seconds for outcome in row.stages)
