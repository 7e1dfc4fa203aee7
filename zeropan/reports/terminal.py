"""A run's report for a person at a terminal, and its stages for Prefect's tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from zeropan.reports.rows import ImageRow
from zeropan.reports.run import SHOWN, RunReport, in_words
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
IN_FULL = 3
"""Images whose stages are shown in a table of their own."""


def render(report: RunReport, console: Console) -> None:
    """Print a run's summary for a person."""
    if report.rerun_of:
        said = ", ".join(f"{path} {change}" for path, change in report.changed.items())
        _line(console, f"run again {report.rerun_of[:12]}: {said or 'nothing changed'}")
    for row in report.images[:IN_FULL]:
        if row.stages:
            console.print(_stage_table(row))
        if row.change:
            _line(console, f"change    {row.change.in_words()}")
        if row.overlay:
            _line(console, f"overlay   {row.overlay}")
    if report.total != 1 or report.failed:
        _line(console, report.in_words())
    elif not report.computed:
        _line(console, "Everything was answered from the cache; no model ran.")
    if report.failures:
        console.print(_failures(report))
        if report.failed > SHOWN:
            _line(console, f"... and {report.failed - SHOWN} more failures")
    conclude(report, console)


def conclude(report: RunReport, console: Console) -> None:
    """Print where everything is: the last lines of every command that runs images."""
    places = {"home": report.home, "output": report.output, "table": report.table}
    for name, place in places.items():
        _line(console, f"{name:<9} {place}")
    _line(console, f"store     {report.store}")
    if report.tracking_run_id:
        _line(console, f"MLflow    run {report.tracking_run_id}")
    for warning in report.warnings:
        _line(console, f"warning   {warning}")


def table_rows(row: ImageRow) -> list[dict[str, str | float]]:
    """The stages of an image as rows of a Prefect table artifact."""
    return [
        {
            "image": row.image,
            "stage": STEP_TITLES[stage.stage],
            "was": _was(stage),
            "seconds": round(stage.seconds, 3),
            "what came out": _what(stage, row),
            "artifact": f"{stage.stage}/{stage.digest}",
        }
        for stage in row.stages
    ]


def _stage_table(row: ImageRow) -> Table:
    table = Table(title=row.image, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("stage")
    table.add_column("was")
    table.add_column("seconds", justify="right")
    table.add_column("what came out")
    for stage in row.stages:
        table.add_row(
            STEP_TITLES[stage.stage],
            _was(stage),
            f"{stage.seconds:.2f}",
            _what(stage, row),
            style="dim" if stage.stage in PERCEPTION else "",
            end_section=stage.stage == PERCEPTION[-1],
        )
    return table


def _failures(report: RunReport) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("failed image", overflow="fold")
    table.add_column("reason", overflow="fold")
    for one in report.failures[:SHOWN]:
        table.add_row(one.image, one.reason)
    return table


def _was(stage: StageOutcome) -> str:
    return "computed (was damaged)" if stage.mended else stage.how


def _what(stage: StageOutcome, row: ImageRow) -> str:
    if stage.stage == "panoptic":
        return f"{in_words(row.segments)} ({row.coverage:.0%} labelled)"
    return ", ".join(
        f"{value:.0%} covered" if name == "coverage" else f"{value:g} {name}"
        for name, value in stage.result.items()
    )


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
