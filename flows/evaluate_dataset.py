"""Panoptic quality of a data set: the same cached chain, and a comparison with the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from zeropan.errors import BadInput
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.flows.chain import run_chain
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.models.presets import find_preset, identities
from zeropan.models.published.components import PrecisionChoice
from zeropan.pictures.panels import overlay, side_by_side
from zeropan.reports.evaluation import (
    CategoryRow,
    EvalReport,
    ImageQuality,
    category_rows,
    quality_metrics,
)
from zeropan.request.inputs import refer_to
from zeropan.request.places import DEFAULT_MAX_PIXELS, Places
from zeropan.request.request import Request
from zeropan.request.truth_sources import Source, open_source
from zeropan.segmentation.config import Method, PipelineConfig
from zeropan.segmentation.images import load_image
from zeropan.segmentation.records import Panoptic, SegmentInfo, UInt8
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import STAGES, ImageWork

WORST = 8
"""How many of the worst images are logged as pictures."""


@dataclass(frozen=True)
class Judged:
    """One image's result beside its truth."""

    work: ImageWork
    truth: GroundTruth
    pq: float


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
            judged.append(_judge(work, source.truth(number), source, total))
        rows = category_rows(source.categories, total.result())
        report = _report(source, rows, total, judged, journal, places, cached, seconds)
        _log(journal, source, report, judged)
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


def _judge(work: ImageWork, truth: GroundTruth, source: Source, total: PanopticQuality) -> Judged:
    """Count one image, in the total and on its own."""
    result = _result(work)
    if truth.label_map.shape != result.label_map.shape:
        (true_h, true_w), (height, width) = truth.label_map.shape, result.label_map.shape
        raise BadInput(
            f"{work.image.location} has {width}x{height} pixels, but its truth {true_w}x{true_h}; "
            "use images and annotations of one data set"
        )
    alone = PanopticQuality.of(source.categories)
    alone.add(truth, result)
    total.merge(alone)
    overall = alone.result().all
    return Judged(work, truth, 0.0 if overall is None else overall.pq)


def _result(work: ImageWork) -> Panoptic:
    return ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)


def _report(
    source: Source,
    rows: list[CategoryRow],
    total: PanopticQuality,
    judged: list[Judged],
    journal: Journal,
    places: Places,
    cached: int,
    seconds: float,
) -> EvalReport:
    return EvalReport(
        dataset=source.name,
        rows=rows,
        images=[ImageQuality(image=j.work.image.location, pq=j.pq) for j in judged],
        metrics=quality_metrics(source.categories, total.result()),
        stages_cached=cached,
        stages_computed=len(judged) * len(STAGES) - cached,
        seconds=seconds,
        store=places.store_url,
        flow_run_id=str(flow_run.get_id()),
        task_runs=len(judged) * len(STAGES),
        tracking_uri=journal.uri,
        tracking_run_id=journal.run_id,
    )


def _log(journal: Journal, source: Source, report: EvalReport, judged: list[Judged]) -> None:
    """Metrics, the table, a file with every image's quality, and the worst images' pictures."""
    journal.log_metrics(
        report.metrics
        | {
            "run/images": float(len(judged)),
            "run/cached": float(report.stages_cached),
            "run/computed": float(report.stages_computed),
            "run/seconds": report.seconds,
        }
    )
    journal.describe(report.markdown())
    journal.log_files(
        {
            "quality.json": json.dumps(report.model_dump(mode="json"), indent=1).encode(),
            "quality.md": report.markdown().encode(),
        },
        folder="evaluation",
    )
    for place, worst in enumerate(sorted(judged, key=lambda j: j.pq)[:WORST]):
        journal.log_pictures({"eval/worst": _picture(worst, source)}, step=place)


def _picture(judged: Judged, source: Source) -> UInt8:
    work = judged.work
    image = load_image(work.image.location, max_pixels=work.max_pixels)
    return side_by_side(
        [
            (f"{Path(work.image.location).name}, PQ {judged.pq:.2f}", image),
            ("truth", overlay(image, _as_panoptic(judged.truth, source), source.categories)),
            ("result", overlay(image, _result(work), source.categories)),
        ]
    )


def _as_panoptic(truth: GroundTruth, source: Source) -> Panoptic:
    """The truth in the form that pictures are drawn from."""
    infos = []
    for segment in sorted(truth.segments, key=lambda s: s.id):
        rows, columns = (truth.label_map == segment.id).nonzero()
        x, y = int(columns.min()), int(rows.min())
        infos.append(
            SegmentInfo(
                id=segment.id,
                category_id=segment.category_id,
                isthing=source.categories.by_id(segment.category_id).isthing,
                area=int(rows.size),
                bbox_xywh=(x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1),
                score=1.0,
            )
        )
    return Panoptic(truth.label_map, tuple(infos))
