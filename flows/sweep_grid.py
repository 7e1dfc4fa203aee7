"""A grid of parameter values over images: perception once, every point a nested MLflow run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from zeropan.errors import BadInput
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.flows.chain import run_chain
from zeropan.flows.gallery import OVERLAY, Gallery
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.segment_images import CategoryLists
from zeropan.models.presets import find_preset, identities
from zeropan.models.published.components import PrecisionChoice
from zeropan.reports.evaluation import quality_metrics
from zeropan.reports.sweep import PointReport, SweepReport
from zeropan.request.grid import Point, digest_of, parse_grid, points
from zeropan.request.inputs import refer_to
from zeropan.request.places import DEFAULT_MAX_PIXELS, Places
from zeropan.request.request import Request
from zeropan.request.truth_sources import open_source
from zeropan.segmentation.config import Method, PipelineConfig
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


@flow(name="sweep", validate_parameters=True, result_serializer="json")
def sweep(
    grid: list[str],
    images: list[str] | None = None,
    categories: CategoryLists | None = None,
    dataset: str | None = None,
    limit: int | None = None,
    config: PipelineConfig | None = None,
    preset: str = "tiny",
    method: Method = "default",
    home: str | None = None,
    store: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> dict[str, Any]:
    """Run every point of a grid of parameters; a sweep that was interrupted goes on.

    Args:
        grid: axes, each as "stage.parameter=value,value".
        images: local paths or fsspec URLs; needs `categories`.
        categories: the words to look for in `images`.
        dataset: instead of images, a data set with truth, as the flow evaluate takes it.
        limit: only the first so many images of the data set.
        config: the parameters outside of the grid; by default the method's.
        preset: name of the models' preset.
        method: whose parameters to take where `config` is not given.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the parent MLflow run; by default made from the grid.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
        max_pixels: larger images are refused before they are decoded.
    """
    places = Places.resolve(home=home, store=store)
    truth: Truth | None = None
    if dataset is not None:
        source = open_source(dataset, places.home, limit=limit)
        words, locations, truth = source.categories, source.locations, source.truth
    elif images and categories:
        words, locations = categories.resolved(), images
    else:
        raise BadInput("a sweep needs images with words, or a data set; give one of the two")
    base = config if config is not None else find_preset(preset).config_for(method)
    axes = parse_grid(grid)
    every = points(base, axes)
    job = Job(
        places=places,
        request=Request(words, base, preset, method),
        images=refer_to(locations, max_pixels=max_pixels),
        models=identities(preset),
        device=device,
        precision=precision,
        max_pixels=max_pixels,
        experiment=experiment,
        name=run_name or f"sweep {', '.join(path.rpartition('.')[2] for path in axes)}",
    )
    return _Sweep(job, every, truth, Gallery(places.home)).run().model_dump(mode="json")


@dataclass
class _Sweep:
    """The work of one sweep, inside its flow."""

    job: Job
    points: list[Point]
    truth: Truth | None
    gallery: Gallery

    def run(self) -> SweepReport:
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
        quality = PanopticQuality.of(job.request.categories)
        store = ArtifactStore(job.places.store_url)
        values: dict[str, list[float]] = defaultdict(list)
        outcomes: list[StageOutcome] = []
        total = len(self.points) * len(job.images) * len(STAGES)
        for index, image in enumerate(job.images):
            work = job.work(image)
            done = (number * len(job.images) + index) * len(STAGES)
            outcomes += run_chain(work, done=done, total=total, known=known)
            result = store.read(work.key("panoptic"), Panoptic)
            for name, value in metrics_of(result, job.request.categories).items():
                values[name].append(value)
            if self.truth is not None:
                quality.add(self.truth(index), result)
            if index < PICTURES:
                shown = self.gallery.pictures(work, (OVERLAY,))
                journal.log_pictures(shown.pictures, step=index)
        metrics = {name: sum(each) / len(each) for name, each in values.items()}
        if self.truth is not None:
            metrics |= quality_metrics(job.request.categories, quality.result())
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
