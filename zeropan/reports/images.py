"""What a run amounts to: plain data that travels as JSON, and its rendering for a terminal."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from zeropan.reports.change import Change
from zeropan.tasks.work import PERCEPTION, StageOutcome

STEP_TITLES = {
    "embed_image": "image embedding",
    "ground_things": "word boxes",
    "score_stuff": "word heat maps",
    "things": "1 things",
    "stuff_regions": "2 stuff regions",
    "stuff_masks": "3 stuff masks",
    "panoptic": "4 panoptic",
}


class ImageReport(BaseModel):
    """One image: its stages in order, and its pictures."""

    image: str
    sha256: str
    stages: list[StageOutcome]
    segments: dict[str, int]
    """How many segments of each category name, in the panoptic result."""
    coverage: float
    """Share of pixels that bear a label, 0 to 1."""
    overlay: str
    """Path of the overlay picture."""
    panoptic_png: str
    panoptic_json: str
    change: Change | None = None
    """What differs from the run that this one changes; None if there is none, or if the store no
    longer holds its result."""


class RunReport(BaseModel):
    """One flow run."""

    images: list[ImageReport]
    store: str
    flow_run_id: str
    task_runs: int
    """Task runs of Prefect's that the flow made."""
    tracking_uri: str
    tracking_run_id: str | None
    """None when the tracking server could not be reached; the segmentation is done all the same."""
    tracking_link: str | None
    warnings: list[str] = []
    rerun_of: str | None = None
    """The MLflow run that this one changes."""
    changed: dict[str, str] = {}
    """The parameters that differ from that run's: "old → new" by "stage.field"."""

    @property
    def cached(self) -> bool:
        """Whether no stage of any image was computed."""
        return all(stage.how == "cached" for image in self.images for stage in image.stages)


def render(report: RunReport, console: Console) -> None:
    """Print a run's summary for a person."""
    if report.rerun_of:
        said = ", ".join(f"{path} {change}" for path, change in report.changed.items())
        console.print(f"run again {report.rerun_of[:12]}: {said or 'nothing changed'}")
    for image in report.images[:10]:
        console.print(_stage_table(image))
        if image.change:
            console.print(f"change    {image.change.in_words()}", soft_wrap=True, highlight=False)
        console.print(f"overlay   {image.overlay}", soft_wrap=True, highlight=False)
    if len(report.images) > 10:
        console.print(f"... and {len(report.images) - 10} more images")
    if report.cached:
        console.print("Everything was answered from the cache; no model ran.")
    console.print(f"store     {report.store}", soft_wrap=True, highlight=False)
    if report.tracking_run_id:
        console.print(f"MLflow    run {report.tracking_run_id}", highlight=False)
    for warning in report.warnings:
        console.print(f"warning   {warning}", soft_wrap=True, highlight=False)


def _stage_table(image: ImageReport) -> Table:
    table = Table(title=image.image, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("stage")
    table.add_column("was")
    table.add_column("seconds", justify="right")
    table.add_column("what came out")
    for stage in image.stages:
        table.add_row(
            STEP_TITLES[stage.stage],
            "computed (was damaged)" if stage.mended else stage.how,
            f"{stage.seconds:.2f}",
            _what(stage, image),
            style="dim" if stage.stage in PERCEPTION else "",
            end_section=stage.stage == PERCEPTION[-1],
        )
    return table


def _what(stage: StageOutcome, image: ImageReport) -> str:
    if stage.stage == "panoptic":
        words = ", ".join(
            f"{count} {name}" if count > 1 else name for name, count in image.segments.items()
        )
        return f"{words or 'nothing'} ({image.coverage:.0%} labelled)"
    parts = []
    for name, value in stage.result.items():
        parts.append(f"{value:.0%} covered" if name == "coverage" else f"{value:g} {name}")
    return ", ".join(parts)


def table_rows(image: ImageReport) -> list[dict[str, str | float]]:
    """The stages of an image as rows of a Prefect table artifact."""
    return [
        {
            "image": image.image,
            "stage": STEP_TITLES[stage.stage],
            "was": "computed (was damaged)" if stage.mended else stage.how,
            "seconds": round(stage.seconds, 3),
            "what came out": _what(stage, image),
            "artifact": f"{stage.stage}/{stage.digest}",
        }
        for stage in image.stages
    ]


def cache_counts(report_stages: list[StageOutcome]) -> dict[str, int]:
    """How many stages were computed, and how many cached."""
    counts = Counter(stage.how for stage in report_stages)
    return {"computed": counts["computed"], "cached": counts["cached"]}
