"""The flow over a data set: a folder that fills up, a bucket, a list.

Read next: flows/dataset_run.py, how a run goes through its images; flows/batch.py, what happens to
each; flows/chain.py, the steps.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from zeropan.choices import Method, PrecisionChoice, Runner, TaskRuns
from zeropan.flows.dataset_run import Plan, work_through
from zeropan.flows.job import Job
from zeropan.models.presets import find_preset, identities
from zeropan.reports.dataset import DatasetReport
from zeropan.request.places import Places
from zeropan.request.request import Request
from zeropan.request.sources import find_images
from zeropan.request.words import CategoryLists
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS, shown
from zeropan.storage.failures import FailureList
from zeropan.storage.keys import artifact_key


@flow(name="run", flow_run_name="run {sources}", validate_parameters=True, result_serializer="json")
def run(
    sources: list[str],
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
    workers: int = 1,
    runner: Runner = "auto",
    task_runs: TaskRuns = "stages",
    limit: int | None = None,
    shuffle_seed: int | None = None,
    max_failures: int = 100,
    retry_failed: bool = False,
    pictures: int = 8,
) -> Any:
    """Segment every image of a data set that has no result yet.

    Args:
        sources: folders, globs, COCO image lists, .txt lists or image files; paths or fsspec URLs.
        categories: the words to look for.
        config: the four steps' parameters; by default those of the method with the preset.
        preset: name of the models' preset.
        method: whose parameters to take where `config` is not given.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        output: folder of the panoptic files; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the MLflow run; by default made from the sources.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
        max_pixels: larger images are refused before they are decoded.
        workers: batches of images at a time.
        runner: who runs them: threads, processes, dask, or auto.
        task_runs: what Prefect keeps a task run of: stages (seven an image, with retries and their
            own logs) or batches (one for 16 images, for data sets of millions).
        limit: only the first so many images, after shuffling.
        shuffle_seed: seed of a random order, so that several runs over one folder share the work.
        max_failures: more failed images than this end the run as failed.
        retry_failed: only images that failed before, with the same words, parameters and models.
        pictures: images whose steps are drawn and logged to MLflow: the first so many.

    Raises:
        BadInput: a source does not exist or holds no image.
        TooManyFailures: more images failed than are allowed, or all of them, unless these are
            images that had failed before.
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
        images=[],
        models=identities(preset),
        device=device,
        precision=precision,
        max_pixels=max_pixels,
        experiment=experiment,
        name=run_name,
    )
    images = find_images(sources, limit=limit, shuffle_seed=shuffle_seed)
    digest = request_digest(job)
    if retry_failed:
        failed = {failure.location for failure in FailureList(job.places.store_url, digest)}
        images = {image: mark for image, mark in images.items() if shown(image) in failed}
    plan = Plan(
        job=job,
        images=images,
        failures=digest,
        runner=runner,
        task_runs=task_runs,
        workers=workers,
        max_failures=max_failures,
        retry_failed=retry_failed,
        pictures=pictures,
        title=", ".join(shown(source) for source in sources),
    )
    report = DatasetReport(
        sources=[shown(source) for source in sources],
        images=len(images),
        output=str(job.places.output),
        store=shown(job.places.store_url),
        flow_run_id=str(flow_run.get_id()),
    )
    return work_through(plan, report)


def request_digest(job: Job) -> str:
    """32 hex digits that stand for words, parameters and models."""
    request = {
        "categories": job.request.categories.model_dump(mode="json"),
        "config": job.request.config.model_dump(mode="json"),
        "models": {role: identity.sha256 for role, identity in job.models.items()},
    }
    return artifact_key("request", version=1, inputs=request).digest
