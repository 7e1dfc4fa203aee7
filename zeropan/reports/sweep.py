"""What a sweep amounts to, as plain data, a table and Markdown."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from zeropan.reports.run import RunReport
from zeropan.reports.terminal import conclude

COLUMNS = (
    ("quality/pq", "PQ"),
    ("quality/pq_things", "PQ things"),
    ("quality/pq_stuff", "PQ stuff"),
    ("count/things", "things"),
    ("count/stuff", "stuff"),
    ("coverage/total", "labelled"),
)
"""Metrics that the table shows, where they are known: means over the images."""


class PointReport(BaseModel):
    """One point of the grid."""

    values: dict[str, Any]
    metrics: dict[str, float]
    """Means over the images; quality/... where the truth is known."""
    failed: int = 0
    """Images that failed."""
    computed: int
    """Stages that were computed, over all images."""
    seconds: float
    run_id: str | None
    resumed: bool = False
    """Whether an earlier, interrupted sweep had finished this point."""


class SweepReport(RunReport):
    """One sweep: every point of a grid over the same images."""

    points: list[PointReport] = Field(default_factory=list)
    best: dict[str, Any] | None = None
    """The values with the highest panoptic quality; None where no truth is known."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """The table's header and lines."""
        shown = [
            (key, title)
            for key, title in COLUMNS
            if any(key in point.metrics for point in self.points)
        ]
        axes = list(self.points[0].values)
        header = [path.rpartition(".")[2] for path in axes]
        header += [title for _, title in shown] + ["computed", "s"]
        lines = []
        for point in self.points:
            cells = [str(point.values[path]) for path in axes]
            cells += [
                f"{point.metrics[key]:.3g}" if key in point.metrics else "-" for key, _ in shown
            ]
            lines.append([*cells, str(point.computed), f"{point.seconds:.1f}"])
        return header, lines

    def markdown(self) -> str:
        """The table for the parent run's description."""
        header, lines = self.rows()
        text = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        text += ["| " + " | ".join(line) + " |" for line in lines[:60]]
        if self.best is not None:
            text += ["", f"Best: **{_in_words(self.best)}**"]
        return "\n".join(text)


def render_sweep(report: SweepReport, console: Console) -> None:
    """Print a sweep for a person."""
    header, lines = report.rows()
    table = Table(show_edge=False, pad_edge=False, title_justify="left")
    for title in header:
        table.add_column(title, justify="right", overflow="fold")
    for line, point in zip(lines, report.points, strict=True):
        table.add_row(*line, style="bold" if point.values == report.best else "")
    console.print(table)
    if report.best is not None:
        console.print(f"best      {_in_words(report.best)}", highlight=False)
    resumed = sum(point.resumed for point in report.points)
    if resumed:
        console.print(f"resumed   {resumed} points were finished before", highlight=False)
    conclude(report, console)


def _in_words(values: dict[str, Any]) -> str:
    return ", ".join(f"{path}={value}" for path, value in values.items())
