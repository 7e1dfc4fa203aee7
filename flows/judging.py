"""Results beside their truth: counted, reported, drawn and logged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from prefect.runtime import flow_run

from zeropan.errors import BadInput
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.flows.journal import Journal
from zeropan.pictures.panels import overlay, side_by_side
from zeropan.reports.evaluation import (
    CategoryRow,
    EvalReport,
    ImageQuality,
    quality_metrics,
)
from zeropan.request.places import Places
from zeropan.request.truth_sources import Source
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


def judge(work: ImageWork, truth: GroundTruth, source: Source, total: PanopticQuality) -> Judged:
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


def quality_report(
    source: Source,
    rows: list[CategoryRow],
    total: PanopticQuality,
    judged: list[Judged],
    journal: Journal,
    places: Places,
    cached: int,
    seconds: float,
) -> EvalReport:
    """The evaluation as plain data."""
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


def log_quality(journal: Journal, source: Source, report: EvalReport, judged: list[Judged]) -> None:
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
