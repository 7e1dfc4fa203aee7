"""One MLflow run for each flow run, kept from ever stopping the segmentation.

Tracking sits here and not in the tasks: the body of a cached task does not run, so what is logged
comes from the outcomes and from the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from prefect.runtime import flow_run

from zeropan.flows.job import Job
from zeropan.pictures.encoding import EncodedPicture
from zeropan.pictures.panels import PANELS
from zeropan.reports.images import ImageReport, cache_counts
from zeropan.request.recorded import CONFIG_FILE, INPUTS_FILE, KIND_TAG, RecordedRun
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.images import shown
from zeropan.segmentation.records import Panoptic, UInt8
from zeropan.tasks.work import ImageRef, image_digest
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.runs import TrackedRun
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.spool import RunLog, SpooledRun
from zeropan.tracking.summary import description, metrics_of, run_name

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "segment-anything", "groundingdino-py", "zarr", "prefect")


@dataclass
class Journal:
    """Logs a flow run to MLflow.

    A fault of the tracking server becomes a warning, and what could not be logged is kept on the
    disk, from then on to the run's end, for `zeropan track flush`.
    """

    settings: TrackingSettings
    home: Path
    """Below it is kept what could not be logged."""
    name: str
    tags: Mapping[str, str]
    run: RunLog | None = None
    warnings: list[str] = field(default_factory=list)
    changes: Mapping[str, object] = field(default_factory=dict)
    """What differs from the run that this one changes, or from the usual parameters."""
    origin: RecordedRun | None = None

    @classmethod
    def open(cls, job: Job, *, title: str | None = None) -> Journal:
        """Start the MLflow run and log all that is known before the work."""
        settings = TrackingSettings.resolve(
            default_directory=job.places.home, experiment=job.experiment
        )
        subject = title or title_of(job.images)
        journal = cls(
            settings=settings,
            home=job.places.home,
            name=job.name or run_name(subject, job.changes, changes_first=bool(job.origin)),
            tags=_tags(job, subject),
            changes=job.changes,
            origin=job.origin,
        )

        def start() -> None:
            journal.run = TrackedRun.start(settings, name=journal.name, tags=journal.tags)

        if not journal._try(start):
            journal._try(journal._keep_on_disk)
        journal._with_run(lambda run: run.log_parameters(_parameters(job)))
        journal.log_files({CONFIG_FILE: job.request.to_yaml().encode()}, folder="")
        if job.images:
            journal.log_inputs(job, subject)
        return journal

    def log_inputs(self, job: Job, subject: str) -> None:
        """Log which images went into the run, so that it can be run again."""
        inputs = job.inputs
        self.log_files({INPUTS_FILE: inputs.model_dump_json(indent=1).encode()}, folder="")
        self._with_run(lambda run: run.set_tags({KIND_TAG: str(len(job.images))}))
        self._with_run(
            lambda run: run.log_dataset(
                name=subject, digest=_digest(job.images), source=inputs.images[0].location
            )
        )

    @property
    def uri(self) -> str:
        """Where the run is recorded, as it may be shown."""
        return shown(self.settings.uri)

    @property
    def run_id(self) -> str | None:
        """The MLflow run's id, if the server has given one."""
        return self.run.known_id if self.run else None

    @property
    def link(self) -> str | None:
        """The run's address in the MLflow UI, when the tracking server has one."""
        if not isinstance(self.run, TrackedRun) or not self.settings.is_server:
            return None
        return self.run.url(self.uri)

    def log_image(
        self,
        report: ImageReport,
        panoptic: Panoptic,
        categories: Categories,
        pictures: Mapping[str, EncodedPicture],
        files: Mapping[str, bytes],
        number: int,
    ) -> None:
        """Log one image's metrics and pictures at its own step."""
        metrics = metrics_of(panoptic, categories)
        metrics |= {f"seconds/{stage.stage}": stage.seconds for stage in report.stages}
        metrics["seconds/total"] = sum(stage.seconds for stage in report.stages)
        metrics |= {f"cache/{how}": n for how, n in cache_counts(report.stages).items()}
        if report.change:
            metrics |= report.change.metrics()
        self._with_run(lambda run: run.log_metrics(metrics, step=number))
        self._with_run(lambda run: run.log_pictures(pictures, step=number))
        self._with_run(lambda run: run.log_files(files, folder="panoptic"))
        if number == 0:
            self._with_run(
                lambda run: run.set_description(self._about(run, report, panoptic, categories))
            )

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log numbers of the whole run."""
        self._with_run(lambda run: run.log_metrics(metrics))

    def log_pictures(self, pictures: Mapping[str, UInt8 | EncodedPicture], *, step: int) -> None:
        """Log pictures at a step of the grid's slider."""
        self._with_run(lambda run: run.log_pictures(pictures, step=step))

    def log_files(self, files: Mapping[str, bytes], *, folder: str) -> None:
        """Log files into a folder of the run."""
        self._with_run(lambda run: run.log_files(files, folder=folder))

    def describe(self, markdown: str) -> None:
        """Set what MLflow shows at the top of the run's page."""
        self._with_run(lambda run: run.set_description(markdown))

    def close(self, status: Literal["FINISHED", "FAILED"], reports: Sequence[ImageReport]) -> None:
        """Log the totals over all images and end the MLflow run."""
        if len(reports) > 1:
            stages = [stage for report in reports for stage in report.stages]
            totals = {
                "run/images": float(len(reports)),
                "run/seconds": sum(stage.seconds for stage in stages),
                "run/coverage": float(np.mean([report.coverage for report in reports])),
            }
            totals |= {f"run/{how}": float(n) for how, n in cache_counts(stages).items()}
            self._with_run(lambda run: run.log_metrics(totals))
        if len(reports) > 1:
            self._with_run(lambda run: run.set_description(_list_of(reports)))
        self._with_run(lambda run: run.finish(status))

    def _about(
        self, run: RunLog, report: ImageReport, panoptic: Panoptic, categories: Categories
    ) -> str:
        counts = cache_counts(report.stages)
        lines = {"Stages": f"{counts['cached']} cached, {counts['computed']} computed"}
        if self.origin:
            lines["Run again from"] = f"{self.origin.found.name} (`{self.origin.run_id}`)"
        if report.change:
            lines["Result"] = report.change.in_words()
        which = run.known_id[:8] if run.known_id else "latest"
        lines["Run again"] = f"`zeropan rerun {which} --set stage.parameter=value`"
        return description(
            panoptic,
            categories,
            image=Path(report.image).name,
            changed=self.changes,
            lines=lines,
            picture=run.picture_address(PANELS[-1]),
        )

    def _with_run(self, action: Callable[[RunLog], None]) -> None:
        run = self.run
        if run is None or self._try(lambda: action(run)) or isinstance(run, SpooledRun):
            return
        # What came before is logged; this call and all after it wait on the disk.
        if self._try(self._keep_on_disk):
            self._with_run(action)

    def _keep_on_disk(self) -> None:
        spooled = SpooledRun.start(
            self.home, self.settings, name=self.name, tags=self.tags, run_id=self.run_id
        )
        self.run = spooled
        self.warnings.append(
            f"what could not be logged is kept in {spooled.folder}; `zeropan track flush` logs it"
        )

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except TrackingError as error:
            logger.warning("%s", error)
            if str(error) not in self.warnings:
                self.warnings.append(str(error))
            return False
        return True


def _tags(job: Job, subject: str) -> dict[str, str]:
    """What runs are searched by, and what links them to each other and to Prefect."""
    tags = {
        "zeropan.image": title_of(job.images) if job.images else subject,
        "zeropan.preset": job.request.preset,
        "zeropan.method": job.request.method,
        "zeropan.store": job.places.store_url,
        "prefect.flow_run_id": str(flow_run.get_id() or ""),
        "prefect.flow_run_name": str(flow_run.get_name() or ""),
        "prefect.flow_run_url": str(flow_run.get_flow_run_ui_url() or ""),
    }
    tags |= job.tags
    if job.origin:
        tags["zeropan.rerun_of"] = job.origin.run_id
        said = (f"{path} {change}" for path, change in job.changes.items())
        tags["zeropan.changed"] = ", ".join(said) or "nothing"
    return tags


def _parameters(job: Job) -> dict[str, object]:
    request, images = job.request, job.images
    parameters: dict[str, object] = {}
    for stage, values in request.config.model_dump(mode="json").items():
        parameters |= {f"{stage}/{name}": value for name, value in values.items()}
    parameters["categories/things"] = ", ".join(c.name for c in request.categories.things)
    parameters["categories/stuff"] = ", ".join(c.name for c in request.categories.stuff)
    parameters["method"] = request.method
    parameters["preset"] = request.preset
    for role, identity in job.models.items():
        parameters[f"models/{role}"] = identity.architecture
        parameters[f"models/{role}_sha256"] = identity.sha256
    for package in PACKAGES:
        parameters[f"versions/{package}"] = version(package)
    if len(images) == 1:
        parameters["image/sha256"] = images[0].sha256
    return parameters


def title_of(images: Sequence[ImageRef]) -> str:
    """The first image's file name, and how many there are besides."""
    first = Path(images[0].location).name
    return first if len(images) == 1 else f"{first} and {len(images) - 1} more"


def _digest(images: Sequence[ImageRef]) -> str:
    if len(images) == 1:
        return images[0].sha256
    return image_digest("".join(image.sha256 for image in images).encode())


def _list_of(reports: Sequence[ImageReport]) -> str:
    """A line of Markdown for each image; MLflow shows it at the top of the run's page."""
    lines = []
    for report in reports[:20]:
        words = ", ".join(f"{count} {name}" for name, count in report.segments.items())
        lines.append(
            f"- **{Path(report.image).name}**: {words or 'nothing found'}; "
            f"{report.coverage:.0%} labelled"
        )
    if len(reports) > 20:
        lines.append(f"- ... and {len(reports) - 20} more images")
    return "\n".join(lines)
