"""The work of one sweep, inside its flow: every point of the grid over every image."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from prefect.runtime import flow_run

from zeropan.errors import BadInput
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.flows.chain import run_chain
from zeropan.flows.gallery import OVERLAY, Gallery
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.reports.evaluation import quality_metrics
from zeropan.reports.sweep import PointReport, SweepReport
from zeropan.request.grid import Point, digest_of
from zeropan.segmentation.records import Panoptic
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import STAGES, StageOutcome
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.search import put_below, runs_with_tag
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.summary import metrics_of

SWEEP_TAG = "zeropan.sweep"
POINT_TAG = "zeropan.sweep_point"
PICTURES = 4
"""Of how many images each point logs the overlay."""

Truth = Callable[[int], GroundTruth]


@dataclass
class Sweep:
    """The work of one sweep, inside its flow."""

    job: Job
    points: list[Point]
    truth: Truth | None
    gallery: Gallery

    def run(self) -> SweepReport:
        """Run every point that no earlier sweep of this kind has finished."""
        material = {
            "images": [image.sha256 for image in self.job.images],
            "words": self.job.request.categories.model_dump(mode="json"),
            "models": [identity.sha256 for _, identity in self.job.models.items()],
            "truth": self.truth is not None,
        }
        digest = digest_of(self.points, material)
        finished = self._finished_before(digest)
        parent = Journal.open(
            replace(self.job, tags={SWEEP_TAG: digest, "zeropan.points": str(len(self.points))})
        )
        self._adopt(finished, parent)
        known: dict[str, StageOutcome] = {}
        reports = []
        try:
            for number, point in enumerate(self.points):
                done = finished.get(point.digest)
                reports.append(done or self._point(number, point, parent, digest, known))
            report = self._report(reports, parent, len(known))
            parent.log_metrics({"sweep/points": float(len(reports))})
            parent.describe(report.markdown())
            content = json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1)
            parent.log_files({"sweep.json": content.encode()}, folder="")
        except BaseException:
            parent.close("FAILED", [])
            raise
        parent.close("FINISHED", [])
        self.gallery.trim()
        report.warnings = parent.warnings
        return report

    def _finished_before(self, digest: str) -> dict[str, PointReport]:
        """Points that an earlier sweep of this very kind has finished, by their digest."""
        try:
            runs = runs_with_tag(self._settings, SWEEP_TAG, digest)
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

    @property
    def _settings(self) -> TrackingSettings:
        return TrackingSettings.resolve(
            default_directory=self.job.places.home, experiment=self.job.experiment
        )

    def _adopt(self, finished: dict[str, PointReport], parent: Journal) -> None:
        """Show points that were finished before below this sweep's run."""
        runs = [point.run_id for point in finished.values() if point.run_id]
        if not runs or not parent.run_id:
            return
        try:
            put_below(self._settings, runs, parent.run_id)
        except TrackingError as error:
            parent.warnings.append(str(error))

    def _point(
        self, number: int, point: Point, parent: Journal, digest: str,
        known: dict[str, StageOutcome],
    ) -> PointReport:  # fmt: skip
        """Run all images at one point, and log them as a run below the parent."""
        tags = {SWEEP_TAG: digest, POINT_TAG: point.digest}
        if parent.run_id:
            tags["mlflow.parentRunId"] = parent.run_id
        job = replace(
            self.job,
            request=replace(self.job.request, config=point.config),
            name=point.name,
            tags=tags,
        )
        journal = Journal.open(job)
        try:
            report = self._measure(number, job, point, journal, known)
        except BaseException:
            journal.close("FAILED", [])
            raise
        journal.close("FINISHED", [])
        parent.warnings += [w for w in journal.warnings if w not in parent.warnings]
        return report

    def _measure(
        self, number: int, job: Job, point: Point, journal: Journal, known: dict[str, StageOutcome]
    ) -> PointReport:
        quality = PanopticQuality.of(job.request.categories.canonical)
        store = ArtifactStore(job.places.store_url)
        values: dict[str, list[float]] = defaultdict(list)
        outcomes: list[StageOutcome] = []
        total = len(self.points) * len(job.images) * len(STAGES)
        for index, image in enumerate(job.images):
            work = job.work(image)
            done = (number * len(job.images) + index) * len(STAGES)
            outcomes += run_chain(work, done=done, total=total, known=known)
            result = store.read(work.key("panoptic"), Panoptic)
            for name, value in metrics_of(result, job.request.categories.canonical).items():
                values[name].append(value)
            if self.truth is not None:
                quality.add(self.truth(index), result)
            if index < PICTURES:
                shown = self.gallery.pictures(work, (OVERLAY,))
                journal.log_pictures(shown.pictures, step=index)
        metrics = {name: sum(each) / len(each) for name, each in values.items()}
        if self.truth is not None:
            metrics |= quality_metrics(job.request.categories.canonical, quality.result())
        seconds = sum(outcome.seconds for outcome in outcomes)
        journal.log_metrics(metrics | {"run/seconds": seconds})
        return PointReport(
            values=dict(point.values),
            metrics=metrics,
            computed=sum(outcome.how == "computed" for outcome in outcomes),
            seconds=seconds,
            run_id=journal.run_id,
        )

    def _report(self, reports: list[PointReport], parent: Journal, task_runs: int) -> SweepReport:
        best = None
        if self.truth is not None:
            best = max(reports, key=lambda point: point.metrics.get("quality/pq", 0.0)).values
        return SweepReport(
            images=[image.location for image in self.job.images],
            points=reports,
            best=best,
            store=self.job.places.store_url,
            flow_run_id=str(flow_run.get_id()),
            task_runs=task_runs,
            tracking_uri=parent.uri,
            tracking_run_id=parent.run_id,
        )
