"""The flows that a person, a schedule or the Prefect UI starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.runtime import flow_run

from zeropan.choices import Method, PrecisionChoice
from zeropan.evaluation.comparison import compare
from zeropan.flows.chain import run_chain
from zeropan.flows.gallery import OVERLAY, Gallery
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.outputs import write_outputs
from zeropan.models.presets import find_preset, identities
from zeropan.reports.change import Change
from zeropan.reports.images import ImageReport, RunReport, table_rows
from zeropan.request.inputs import refer_to
from zeropan.request.places import Places
from zeropan.request.request import Request
from zeropan.request.words import CategoryLists
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS
from zeropan.tasks.work import STAGES, ImageWork, StageOutcome


@flow(name="segment-images", validate_parameters=True, result_serializer="json")
def segment_images(
    images: list[str],
    categories: CategoryLists,
    config: PipelineConfig | None = None,
    preset: str = "tiny",
    method: Method = "default",
    home: str | None = None,
    store: str | None = None,
    output: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> dict[str, Any]:
    """Segment images; every stage comes from the cache if it can.

    Args:
        images: local paths or fsspec URLs.
        categories: the words to look for.
        config: the four steps' parameters; by default those of the method with the preset.
        preset: name of the models' preset.
        method: whose parameters to take where `config` is not given.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        output: folder of pictures and panoptic files; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the MLflow run; by default made from the images.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
        max_pixels: larger images are refused before they are decoded.
    """
    request = Request(
        categories=categories.resolved(),
        config=config if config is not None else find_preset(preset).config_for(method),
        preset=preset,
        method=method,
    )
    job = Job(
        places=Places.resolve(home=home, store=store, output=output),
        request=request,
        images=refer_to(images, max_pixels=max_pixels),
        models=identities(preset),
        device=device,
        precision=precision,
        max_pixels=max_pixels,
        experiment=experiment,
        name=run_name,
    )
    return segment(job).model_dump(mode="json")


@flow(name="segment-image", validate_parameters=True, result_serializer="json")
def segment_image(
    image: str,
    categories: CategoryLists,
    config: PipelineConfig | None = None,
    preset: str = "tiny",
    method: Method = "default",
    home: str | None = None,
    store: str | None = None,
    output: str | None = None,
) -> dict[str, Any]:
    """Segment one image: the list flow, with one image and fewer parameters."""
    return segment_images.fn(
        images=[image],
        categories=categories,
        config=config,
        preset=preset,
        method=method,
        home=home,
        store=store,
        output=output,
    )


def segment(job: Job) -> RunReport:
    """Run a job inside a flow: the chain of every image, its pictures, its MLflow run."""
    journal = Journal.open(job)
    gallery = Gallery(job.places.home)
    reports: list[ImageReport] = []
    try:
        for number, image in enumerate(job.images):
            work = job.work(image)
            outcomes = run_chain(
                work, done=number * len(STAGES), total=len(job.images) * len(STAGES)
            )
            reports.append(_conclude(job, work, outcomes, journal, gallery, number))
    except BaseException:
        journal.close("FAILED", reports)
        raise
    journal.close("FINISHED", reports)
    gallery.trim()
    report = RunReport(
        images=reports,
        store=job.places.store_url,
        flow_run_id=str(flow_run.get_id()),
        task_runs=len(reports) * len(STAGES),
        tracking_uri=journal.uri,
        tracking_run_id=journal.run_id,
        tracking_link=journal.link,
        warnings=journal.warnings,
        rerun_of=job.origin.run_id if job.origin else None,
        changed={path: str(change) for path, change in job.changes.items()} if job.origin else {},
    )
    _publish(report)
    return report


def _conclude(
    job: Job,
    work: ImageWork,
    outcomes: list[StageOutcome],
    journal: Journal,
    gallery: Gallery,
    number: int,
) -> ImageReport:
    """Draw and write what people look at, and log it."""
    shown = gallery.pictures(work)
    if shown.missing:
        journal.warnings.append(shown.missing)
    panoptic, overlay = shown.panoptic, shown.pictures[OVERLAY]
    files, contents = write_outputs(job.places.output, work, panoptic, overlay)
    segments: dict[str, int] = {}
    for segment in panoptic.segments_info:
        name = work.categories.by_id(segment.category_id).name
        segments[name] = segments.get(name, 0) + 1
    before = job.previous(work.image)
    report = ImageReport(
        image=work.image.location,
        sha256=work.image.sha256,
        stages=outcomes,
        segments=segments,
        coverage=float((panoptic.label_map != 0).mean()),
        overlay=str(files.overlay),
        panoptic_png=str(files.panoptic_png),
        panoptic_json=str(files.panoptic_json),
        change=Change.of(compare(before, panoptic), work.categories) if before else None,
    )
    journal.log_image(report, panoptic, work.categories, shown.pictures, contents, number)
    return report


def _publish(report: RunReport) -> None:
    """Prefect artifacts: a table of the stages, and a link to the picture."""
    rows = [row for image in report.images for row in table_rows(image)]
    create_table_artifact(table=rows, key="zeropan-stages", description="What each stage did.")
    first = report.images[0]
    create_link_artifact(
        link=report.tracking_link or Path(first.overlay).as_uri(),
        link_text=f"overlay of {Path(first.image).name}",
        key="zeropan-overlay",
        description=f"The panoptic overlay: {first.overlay}",
    )
    get_run_logger().info(
        "%d images segmented; MLflow run %s", len(report.images), report.tracking_run_id
    )
