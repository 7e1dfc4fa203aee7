"""Panoptic quality of a data set: the same cached chain, and a comparison with the truth."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from zeropan.choices import Method, PrecisionChoice
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.flows.chain import run_chain
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.judging import Judged, judge, log_quality, quality_report
from zeropan.models.presets import find_preset, identities
from zeropan.reports.evaluation import (
    category_rows,
)
from zeropan.request.inputs import refer_to
from zeropan.request.places import Places
from zeropan.request.request import Request
from zeropan.request.truth_sources import open_source
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS
from zeropan.tasks.work import STAGES


@flow(name="evaluate", validate_parameters=True, result_serializer="json")
def evaluate(
    dataset: str,
    images: str | None = None,
    panoptic: str | None = None,
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
    """Measure panoptic quality with every word of the data set prompted; cached work is reused.

    Args:
        dataset: a COCO-panoptic JSON, a folder that holds annotations/panoptic*.json and images,
            or rendered scenes: scenes:N or scenes:SEED0-SEED1.
        images: folder or URL of the data set's images; by default looked for beside the JSON.
        panoptic: folder of the panoptic PNGs; by default that named like the JSON.
        limit: only the first so many images.
        config: the four steps' parameters; by default those of the method with the preset.
        preset: name of the models' preset.
        method: whose parameters to take where `config` is not given.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the MLflow run; by default made from the data set's name.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
        max_pixels: larger images are refused before they are decoded.
    """
    places = Places.resolve(home=home, store=store)
    source = open_source(dataset, places.home, images=images, panoptic=panoptic, limit=limit)
    chosen = config if config is not None else find_preset(preset).config_for(method)
    job = Job(
        places=places,
        request=Request(source.categories, chosen, preset, method),
        images=refer_to(source.locations, max_pixels=max_pixels),
        models=identities(preset),
        device=device,
        precision=precision,
        max_pixels=max_pixels,
        experiment=experiment,
        name=run_name,
    )
    journal = Journal.open(job, title=f"eval {dataset}")
    total = PanopticQuality.of(source.categories)
    judged: list[Judged] = []
    cached = 0
    seconds = 0.0
    try:
        for number, image in enumerate(job.images):
            work = job.work(image)
            outcomes = run_chain(
                work, done=number * len(STAGES), total=len(job.images) * len(STAGES)
            )
            cached += sum(outcome.how == "cached" for outcome in outcomes)
            seconds += sum(outcome.seconds for outcome in outcomes)
            judged.append(judge(work, source.truth(number), source, total))
        rows = category_rows(source.categories, total.result())
        report = quality_report(source, rows, total, judged, journal, places, cached, seconds)
        log_quality(journal, source, report, judged)
    except BaseException:
        journal.close("FAILED", [])
        raise
    journal.close("FINISHED", [])
    report.warnings = journal.warnings
    create_table_artifact(
        table=[row.model_dump() for row in rows],
        key="zeropan-quality",
        description=f"Panoptic quality of {dataset}.",
    )
    return report.model_dump(mode="json")
