"""What became of one image of a data set, as one line of a table."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from zeropan.choices import TaskRuns
from zeropan.tasks.work import STAGES


class ImageRow(BaseModel):
    """What became of one image of a data set; small, since there may be millions."""

    image: str
    sha256: str = ""
    status: str
    """computed, cached or failed."""
    seconds: float = 0.0
    """Of this run's work on the image."""
    things: int = 0
    stuff: int = 0
    coverage: float = 0.0
    """Share of pixels that bear a label, 0 to 1."""
    result: str = ""
    """Path of the panoptic PNG."""
    mended: int = 0
    """Damaged artifacts that were found and computed again."""
    reason: str = ""
    """Of a failure: one sentence."""
    kind: str = ""
    """Of a failure: the error's class."""


def task_runs_of(rows: Sequence[ImageRow], task_runs: TaskRuns) -> int:
    """Task runs that a batch took at the least."""
    return 1 + (task_runs == "stages") * len(STAGES) * sum(row.status == "computed" for row in rows)
