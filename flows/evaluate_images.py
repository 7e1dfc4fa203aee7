"""What the flow `evaluate` does: the engine's results beside the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from zeropan.errors import BadInput
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.flows.job import Job
from zeropan.flows.journal import Journal
from zeropan.flows.outputs import image_of
from zeropan.flows.recording import Recording, ended, record, report_fields
from zeropan.pictures.panels import overlay, side_by_side
from zeropan.reports.evaluation import EvalReport, category_rows, quality_metrics
from zeropan.reports.rows import ImageRow
from zeropan.reports.run import RunReport
from zeropan.request.places import Places
from zeropan.request.setup import Setup
from zeropan.request.sources import Known
from zeropan.request.truth_sources import Source, open_source
from zeropan.request.words import Words
from zeropan.segmentation.records import Panoptic, SegmentInfo, UInt8
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import ImageRef, ImageWork

WORST = 8
"""How many of the worst images are logged as pictures."""


def evaluate_images(
    *, dataset: str, images: str | None = None, panoptic: str | None = None, setup: Setup
) -> State[Any]:
    """Segment a data set's images inside a flow and judge the results.

    Args:
        dataset: see the flow.
        images: folder or URL of the data set's images.
        panoptic: folder of its panoptic PNGs.
        setup: its words are replaced by the data set's.

    Raises:
        BadInput: there is no such data set, or its truth does not fit its images.
        TooManyFailures: more images failed than are allowed, or all of them.
    """
    source = open_source(
        dataset, Places.of(setup.how).home, images=images, panoptic=panoptic, limit=setup.how.limit
    )
    job = Job.of(with_words(setup, source))
    judge = Judge(job, source)
    found = dict.fromkeys(source.locations, Known())
    report = EvalReport(command="evaluate", dataset=dataset, **report_fields(job, [dataset], found))
    recording = Recording(
        "evaluate",
        f"eval {dataset}",
        report,
        pictures=(),
        options={"dataset": dataset, "images": images, "panoptic": panoptic},
    )

    def conclude(journal: Journal, _: RunReport) -> None:
        total = judge.total.result()
        report.rows = category_rows(judge.categories, total)
        report.metrics_of_quality = quality_metrics(judge.categories, total)
        judge.log(journal, report)
        create_table_artifact(
            table=[row.model_dump() for row in report.rows],
            key="zeropan-quality",
            description=f"Panoptic quality of {dataset}.",
        )

    return ended(record(job, found, recording, each=judge.row, conclude=conclude))


def with_words(setup: Setup, source: Source) -> Setup:
    """A setup that asks for a data set's own words."""
    what = setup.what.model_copy(update={"words": Words.of(source.categories)})
    return setup.model_copy(update={"what": what})


@dataclass
class Judge:
    """Counts results beside their truth."""

    job: Job
    source: Source
    total: PanopticQuality = field(init=False)
    judged: list[tuple[float, int, ImageWork]] = field(default_factory=list)
    """Panoptic quality, number and work of each image."""

    def __post_init__(self) -> None:
        self.categories = self.source.categories
        self.total = PanopticQuality.of(self.categories)

    def row(self, row: ImageRow, number: int) -> ImageRow:
        """Judge one image, in the total and on its own; one whose truth does not fit has failed."""
        work = self.job.work(ImageRef(location=row.image, sha256=row.sha256))
        try:
            truth, result = self._fitting(work, number)
        except BadInput as error:
            said = {"status": "failed", "reason": str(error), "kind": type(error).__name__}
            return row.model_copy(update=said)
        alone = PanopticQuality.of(self.categories)
        alone.add(truth, result)
        self.total.merge(alone)
        overall = alone.result().all
        pq = 0.0 if overall is None else overall.pq
        self.judged.append((pq, number, work))
        return row.model_copy(update={"pq": pq})

    def log(self, journal: Journal, report: EvalReport) -> None:
        """The table, a file with every image's quality, and the worst images' pictures."""
        journal.describe(report.markdown())
        quality = {
            "dataset": report.dataset,
            "rows": [row.model_dump() for row in report.rows],
            "images": [{"image": w.image.location, "pq": pq} for pq, _, w in self.judged],
        }
        journal.log_files(
            {
                "quality.json": json.dumps(quality, ensure_ascii=False, indent=1).encode(),
                "quality.md": report.markdown().encode(),
            },
            folder="evaluation",
        )
        for place, worst in enumerate(sorted(self.judged, key=lambda one: one[:2])[:WORST]):
            journal.log_pictures({"eval/worst": self._picture(*worst)}, step=place)

    def _fitting(self, work: ImageWork, number: int) -> tuple[GroundTruth, Panoptic]:
        truth, result = self._truth(number), read_result(work)
        if truth.label_map.shape != result.label_map.shape:
            (true_h, true_w), (height, width) = truth.label_map.shape, result.label_map.shape
            raise BadInput(
                f"{work.image.location} has {width}x{height} pixels, but its truth "
                f"{true_w}x{true_h}; use images and annotations of one data set"
            )
        return truth, result

    def _truth(self, number: int) -> GroundTruth:
        return self.source.truth(number)

    def _picture(self, pq: float, number: int, work: ImageWork) -> UInt8:
        result = read_result(work)
        image, _ = image_of(work.image, result, max_pixels=work.max_pixels)
        truth = _as_panoptic(self._truth(number), work)
        return side_by_side(
            [
                (f"{Path(work.image.location).name}, PQ {pq:.2f}", image),
                ("truth", overlay(image, truth, work.categories)),
                ("result", overlay(image, result, work.categories)),
            ]
        )


def read_result(work: ImageWork) -> Panoptic:
    """The stored result of an image."""
    return ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)


def _as_panoptic(truth: GroundTruth, work: ImageWork) -> Panoptic:
    """The truth in the form that pictures are drawn from."""
    infos = []
    for segment in sorted(truth.segments, key=lambda s: s.id):
        rows, columns = (truth.label_map == segment.id).nonzero()
        x, y = int(columns.min()), int(rows.min())
        infos.append(
            SegmentInfo(
                id=segment.id,
                category_id=segment.category_id,
                isthing=work.categories.by_id(segment.category_id).isthing,
                area=int(rows.size),
                bbox_xywh=(x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1),
                score=1.0,
            )
        )
    return Panoptic(truth.label_map, tuple(infos))
