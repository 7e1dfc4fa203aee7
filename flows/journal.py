"""One MLflow run for each flow run, kept from ever stopping the segmentation.

Tracking sits here and not in the tasks: the body of a cached task does not run, so what is logged
comes from the outcomes and from the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from prefect.runtime import flow_run

from zeropan.errors import ArtifactDamaged, ArtifactMissing
from zeropan.flows.gallery import Gallery
from zeropan.flows.job import Job
from zeropan.flows.outputs import panoptic_files
from zeropan.pictures.encoding import EncodedPicture
from zeropan.pictures.panels import PANELS
from zeropan.reports.rows import ImageRow
from zeropan.reports.run import RunReport
from zeropan.request.recorded import (
    CONFIG_FILE,
    INPUTS_FILE,
    KIND_TAG,
    Command,
    Origin,
    RecordedInputs,
    recorded_models,
    without_secrets,
)
from zeropan.request.setup_file import to_yaml
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.images import shown
from zeropan.segmentation.records import Panoptic, UInt8
from zeropan.tasks.work import KEY_RULE, ImageRef, ImageWork, image_digest
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
    origin: Origin | None = None

    @classmethod
    def open(cls, job: Job, *, title: str) -> Journal:
        """Start the MLflow run and log all that is known before the work.

        Args:
            job: words, parameters, models and places.
            title: what the run is called after: its image or its sources.
        """
        how = job.setup.how
        journal = cls.of(
            cls.settings_of(job),
            job.places.home,
            name=how.name or run_name(title, job.changes, changes_first=bool(job.origin)),
            tags=_tags(job, title),
        )
        journal.changes, journal.origin = job.changes, job.origin
        journal._with_run(lambda run: run.log_parameters(_parameters(job)))
        journal.log_files({CONFIG_FILE: to_yaml(job.setup).encode()}, folder="")
        return journal

    @classmethod
    def of(
        cls, settings: TrackingSettings, home: Path, *, name: str, tags: Mapping[str, str]
    ) -> Journal:
        """Start an MLflow run of this name, or its stand-in on the disk."""
        journal = cls(settings=settings, home=home, name=name, tags=tags)

        def start() -> None:
            journal.run = TrackedRun.start(settings, name=name, tags=tags)

        if not journal._try(start):
            journal._try(journal._keep_on_disk)
        return journal

    @staticmethod
    def settings_of(job: Job) -> TrackingSettings:
        """Where a job's runs are recorded."""
        return TrackingSettings.resolve(
            default_directory=job.places.home, experiment=job.setup.how.experiment
        )

    def log_inputs(
        self,
        job: Job,
        command: Command,
        title: str,
        images: Sequence[ImageRef],
        options: Mapping[str, Any],
    ) -> None:
        """Log which images went into the run, so that it can be run again.

        Args:
            job: words, parameters, models and places.
            command: what was started.
            title: what the run is called after.
            images: those that were segmented.
            options: what the command was told besides its setup.
        """
        inputs = _inputs(job).model_copy(
            update={"images": without_secrets(images), "command": command, "options": dict(options)}
        )
        self._log_inputs(inputs, str(len(images)))
        self._with_run(
            lambda run: run.log_dataset(
                name=title, digest=_digest(images), source=inputs.images[0].location
            )
        )
        if len(images) == 1:
            self._with_run(lambda run: run.log_parameters({"image/sha256": images[0].sha256}))

    def log_shards(self, job: Job, title: str, shards: Sequence[str]) -> None:
        """Log the MLflow runs of a run's parts, so that all of it can be run again."""
        self._log_inputs(_inputs(job).model_copy(update={"shards": tuple(shards)}), title)

    def _log_inputs(self, inputs: RecordedInputs, kind: str) -> None:
        self.log_files({INPUTS_FILE: inputs.model_dump_json(indent=1).encode()}, folder="")
        self._with_run(lambda run: run.set_tags({KIND_TAG: kind}))

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
        self, row: ImageRow, work: ImageWork, number: int, pictures: tuple[str, ...]
    ) -> None:
        """Log one image's metrics, pictures and panoptic files at its own step.

        Args:
            row: what became of it.
            work: its words and keys; its result is read from the store.
            number: the step.
            pictures: which pictures; those that are not in the cache are drawn.
        """
        try:
            shown_ = Gallery(self.home).pictures(work, pictures)
        except (ArtifactMissing, ArtifactDamaged) as error:
            self.warnings.append(f"{row.image} is not shown in MLflow: {error}")
            return
        panoptic = shown_.panoptic
        metrics = metrics_of(panoptic, work.categories)
        metrics |= {f"seconds/{stage.stage}": stage.seconds for stage in row.stages}
        metrics["seconds/total"] = sum(stage.seconds for stage in row.stages)
        computed = sum(stage.how == "computed" for stage in row.stages)
        metrics |= {"cache/computed": computed, "cache/cached": len(row.stages) - computed}
        if row.change:
            metrics |= row.change.metrics()
        self._with_run(lambda run: run.log_metrics(metrics, step=number))
        self.log_pictures(shown_.pictures, step=number)
        self.log_files(panoptic_files(work, panoptic), folder="panoptic")
        if number == 0:
            self._with_run(
                lambda run: run.set_description(self._about(run, row, panoptic, work.categories))
            )

    def log_overlay(self, work: ImageWork, number: int) -> None:
        """Log one image's overlay at its own step."""
        with suppress(ArtifactMissing, ArtifactDamaged):
            self.log_pictures(
                Gallery(self.home).pictures(work, (PANELS[-1],)).pictures, step=number
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

    def describe_run(self, report: RunReport) -> None:
        """Set what MLflow shows at the top of the run's page.

        A run of one image is described by that image, when it is logged.
        """
        if report.total != 1 or report.failed:
            self.describe(report.markdown())

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags that were not known at the beginning."""
        self._with_run(lambda run: run.set_tags(tags))

    def describe(self, markdown: str) -> None:
        """Set a text of one's own at the top of the run's page."""
        self._with_run(lambda run: run.set_description(markdown))

    def close(self, status: Literal["FINISHED", "FAILED"]) -> None:
        """End the MLflow run."""
        self._with_run(lambda run: run.finish(status))

    def _about(self, run: RunLog, row: ImageRow, panoptic: Panoptic, categories: Categories) -> str:
        computed = sum(stage.how == "computed" for stage in row.stages)
        lines = {"Stages": f"{len(row.stages) - computed} cached, {computed} computed"}
        if self.origin:
            lines["Run again from"] = f"{self.origin.name} (`{self.origin.run_id}`)"
        if row.change:
            lines["Result"] = row.change.in_words()
        which = run.known_id[:8] if run.known_id else "latest"
        lines["Run again"] = f"`zeropan rerun {which} --set stage.parameter=value`"
        return description(
            panoptic,
            categories,
            image=Path(row.image).name,
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


def _tags(job: Job, title: str) -> dict[str, str]:
    """What runs are searched by, and what links them to each other and to Prefect."""
    tags = {
        "zeropan.image": title,
        "zeropan.preset": job.setup.what.preset,
        "zeropan.method": job.setup.what.method,
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
    what = job.setup.what
    parameters: dict[str, object] = {}
    for stage, values in what.config.model_dump(mode="json").items():
        parameters |= {f"{stage}/{name}": value for name, value in values.items()}
    parameters["categories/things"] = ", ".join(c.name for c in what.categories.things)
    parameters["categories/stuff"] = ", ".join(c.name for c in what.categories.stuff)
    parameters["method"] = what.method
    parameters["preset"] = what.preset
    for role, identity in job.models.items():
        parameters[f"models/{role}"] = identity.architecture
        parameters[f"models/{role}_sha256"] = identity.sha256
    for package in PACKAGES:
        parameters[f"versions/{package}"] = version(package)
    return parameters


def _inputs(job: Job) -> RecordedInputs:
    return RecordedInputs(
        images=(),
        store=job.places.store_url,
        models=recorded_models(job.models),
        max_pixels=job.setup.how.max_pixels,
        device=job.setup.how.device,
        precision=job.precision,
        keys=KEY_RULE,
    )


def _digest(images: Sequence[ImageRef]) -> str:
    if len(images) == 1:
        return images[0].sha256
    return image_digest("".join(image.sha256 for image in images).encode())
