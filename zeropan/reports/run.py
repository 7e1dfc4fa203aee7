"""What a run amounts to, of one image or of a million: plain data that travels as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from zeropan.choices import TaskRuns
from zeropan.reports.rows import ImageRow
from zeropan.tasks.work import STAGES, Stage, StageOutcome

SCHEMA_VERSION = 2
"""Of reports; raised when a field changes its meaning or goes."""
LISTED = 1000
"""Images, and failures, that a report lists; the table has all of them."""
SHOWN = 20
"""Images that a description lists."""


class Failed(BaseModel):
    """An image that could not be segmented, and why."""

    image: str
    kind: str
    reason: str


class StageTotal(BaseModel):
    """One stage over all images."""

    computed: int = 0
    cached: int = 0
    seconds: float = 0.0
    """That were spent on it, over all images."""

    def add(self, outcome: StageOutcome | None) -> None:
        """Count an image; None: it was answered from the store as a whole."""
        if outcome is None or outcome.how == "cached":
            self.cached += 1
        else:
            self.computed += 1
        self.seconds += outcome.seconds if outcome else 0.0


class RunReport(BaseModel):
    """One run."""

    schema_version: int = SCHEMA_VERSION
    command: str
    """run, rerun, evaluate or sweep."""
    sources: list[str]
    total: int
    """Images."""
    computed: int = 0
    cached: int = 0
    failed: int = 0
    mended: int = 0
    """Damaged artifacts that were found and computed again."""
    things: int = 0
    stuff: int = 0
    seconds: float = 0.0
    """Of the whole run, on the wall's clock."""
    stages: dict[Stage, StageTotal] = {}
    images: list[ImageRow] = []
    """The first images; the table has all of them."""
    failures: list[Failed] = []
    """The first images that failed."""
    table: str = ""
    """Path of a JSON-lines file with one row an image."""
    home: str = ""
    output: str = ""
    store: str = ""
    flow_run_id: str = ""
    task_runs: int = 0
    """Task runs of Prefect's that the flow made, at the least."""
    tracking_uri: str = ""
    tracking_run_id: str | None = None
    """None when the tracking server could not be reached; the images are segmented all the same."""
    tracking_link: str | None = None
    warnings: list[str] = []
    rerun_of: str | None = None
    """The MLflow run that this one changes."""
    changed: dict[str, str] = {}
    """The parameters that differ from that run's: "old → new" by "stage.field"."""
    shards: list[str] = []
    """MLflow runs of the parts of a run that was cut into several."""

    @property
    def done(self) -> int:
        """Images that were dealt with, one way or the other."""
        return self.computed + self.cached + self.failed

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def stages_computed(self) -> int:
        """Stages that were computed, over all images."""
        return sum(total.computed for total in self.stages.values())

    @property
    def stages_cached(self) -> int:
        """Stages that the store had, over all images."""
        return sum(total.cached for total in self.stages.values())

    def add(self, row: ImageRow, task_runs: TaskRuns) -> None:
        """Count an image."""
        self.computed += row.status == "computed"
        self.cached += row.status == "cached"
        self.failed += row.failed
        self.mended += row.mended
        self.things += row.things
        self.stuff += row.stuff
        self.task_runs += row.task_runs(task_runs)
        if row.warning and row.warning not in self.warnings:
            self.warnings.append(row.warning)
        if len(self.images) < LISTED:
            self.images.append(row)
        if row.failed:
            if len(self.failures) < LISTED:
                self.failures.append(Failed(image=row.image, kind=row.kind, reason=row.reason))
            return
        outcomes = {outcome.stage: outcome for outcome in row.stages}
        for stage in STAGES:
            self.stages.setdefault(stage, StageTotal()).add(outcomes.get(stage))

    def metrics(self) -> dict[str, float]:
        """Numbers of the whole run for MLflow."""
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
            "run/stages_computed": float(self.stages_computed),
            "run/stages_cached": float(self.stages_cached),
            **{f"run/seconds_{stage}": total.seconds for stage, total in self.stages.items()},
        }

    def in_words(self) -> str:
        """One sentence."""
        words = (
            f"{self.done} of {self.total} images: {self.computed} computed, {self.cached} from "
            f"the store, {self.failed} failed; {self.rate:.2f} images a second"
        )
        return words + (f"; {self.mended} damaged artifacts mended" if self.mended else "")

    def markdown(self) -> str:
        """What MLflow shows at the top of the run's page."""
        lines = [self.in_words(), ""]
        lines += [f"- **{_name(row)}**: {_found(row)}" for row in self.images[:SHOWN]]
        if self.total > SHOWN:
            lines.append(f"- ... and {self.total - SHOWN} more images: tables/images.jsonl")
        if self.failed:
            lines += ["", f"{self.failed} failed:", ""]
            lines += [f"- `{one.image}`: {one.reason}" for one in self.failures[:SHOWN]]
        if self.failed > SHOWN:
            lines.append(f"- ... and {self.failed - SHOWN} more failures: tables/failures.json")
        return "\n".join(lines)

    def failures_table(self) -> bytes:
        """The failures in the form of MLflow's tables."""
        data = [[one.image, one.kind, one.reason] for one in self.failures]
        table = {"columns": ["image", "kind", "reason"], "data": data}
        return json.dumps(table, ensure_ascii=False).encode()

    def plain(self) -> dict[str, Any]:
        """The report as plain values that JSON takes."""
        return self.model_dump(mode="json")


def in_words(segments: Mapping[str, int]) -> str:
    """Segments by category name: "2 cup, wood"."""
    return ", ".join(f"{n} {name}" if n > 1 else name for name, n in segments.items()) or "nothing"


def _name(row: ImageRow) -> str:
    return Path(row.image).name


def _found(row: ImageRow) -> str:
    if row.failed:
        return row.reason
    said = in_words(row.segments) if row.segments else f"{row.things} things, {row.stuff} stuff"
    return f"{said}; {row.coverage:.0%} labelled"
