"""What a run over a data set amounts to: counts, a table, the failures with their reasons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from zeropan.choices import TaskRuns
from zeropan.reports.rows import ImageRow, task_runs_of

SHOWN = 20
"""Failures that a person is shown; the rest are in the table."""


class Failed(BaseModel):
    """An image that could not be segmented, and why."""

    image: str
    kind: str
    reason: str


class DatasetReport(BaseModel):
    """One run over a data set."""

    sources: list[str]
    images: int
    computed: int = 0
    cached: int = 0
    failed: int = 0
    mended: int = 0
    """Damaged artifacts that were found and computed again."""
    things: int = 0
    stuff: int = 0
    seconds: float = 0.0
    """Of the whole run, on the wall's clock."""
    failures: list[Failed] = []
    table: str = ""
    """Path of a JSON-lines file with one row an image."""
    output: str = ""
    store: str = ""
    flow_run_id: str = ""
    task_runs: int = 0
    tracking_uri: str = ""
    tracking_run_id: str | None = None
    tracking_link: str | None = None
    warnings: list[str] = []

    @property
    def done(self) -> int:
        """Images that were dealt with, one way or the other."""
        return self.computed + self.cached + self.failed

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / self.seconds if self.seconds else 0.0

    def add(self, rows: Sequence[ImageRow], task_runs: TaskRuns) -> None:
        """Count a batch."""
        counts = Counter(row.status for row in rows)
        self.computed += counts["computed"]
        self.cached += counts["cached"]
        self.failed += counts["failed"]
        self.mended += sum(row.mended for row in rows)
        self.things += sum(row.things for row in rows)
        self.stuff += sum(row.stuff for row in rows)
        self.task_runs += task_runs_of(rows, task_runs)
        self.failures += [
            Failed(image=row.image, kind=row.kind, reason=row.reason)
            for row in rows
            if row.status == "failed"
        ]

    def metrics(self) -> dict[str, float]:
        """Numbers for MLflow."""
        return {
            "run/images": float(self.done),
            "run/computed": float(self.computed),
            "run/cached": float(self.cached),
            "run/failed": float(self.failed),
            "run/mended": float(self.mended),
            "run/things": float(self.things),
            "run/stuff": float(self.stuff),
            "run/seconds": self.seconds,
            "run/images_per_second": self.rate,
        }

    def in_words(self) -> str:
        """One sentence."""
        words = (
            f"{self.done} of {self.images} images: {self.computed} computed, {self.cached} from "
            f"the store, {self.failed} failed; {self.rate:.2f} images a second"
        )
        return words + (f"; {self.mended} damaged artifacts mended" if self.mended else "")

    def markdown(self) -> str:
        """What MLflow shows at the top of the run's page."""
        lines = [self.in_words(), ""]
        lines += [f"- `{one.image}`: {one.reason}" for one in self.failures[:SHOWN]]
        if self.failed > SHOWN:
            lines.append(f"- ... and {self.failed - SHOWN} more failures: tables/failures.json")
        return "\n".join(lines)

    def failures_table(self) -> bytes:
        """The failures in the form of MLflow's tables."""
        data = [[one.image, one.kind, one.reason] for one in self.failures]
        table = {"columns": ["image", "kind", "reason"], "data": data}
        return json.dumps(table, ensure_ascii=False).encode()


def render_dataset(report: DatasetReport, console: Console) -> None:
    """Print a run's summary for a person."""
    console.print(report.in_words(), highlight=False, soft_wrap=True)
    if report.failures:
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("failed image", overflow="fold")
        table.add_column("reason", overflow="fold")
        for one in report.failures[:SHOWN]:
            table.add_row(one.image, one.reason)
        console.print(table)
        if report.failed > SHOWN:
            console.print(f"... and {report.failed - SHOWN} more failures", highlight=False)
    places = {"table": report.table, "output": report.output, "store": report.store}
    for name, place in places.items():
        console.print(f"{name:<9} {place}", soft_wrap=True, highlight=False)
    if report.tracking_run_id:
        console.print(f"MLflow    run {report.tracking_run_id}", highlight=False)
    for warning in report.warnings:
        console.print(f"warning   {warning}", soft_wrap=True, highlight=False)
