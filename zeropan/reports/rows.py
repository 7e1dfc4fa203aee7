"""What became of one image: a line of a run's table."""

from __future__ import annotations

from pydantic import BaseModel

from zeropan.choices import TaskRuns
from zeropan.reports.change import Change
from zeropan.tasks.work import STAGES, StageOutcome


class ImageRow(BaseModel):
    """What became of one image; small, since there may be millions."""

    image: str
    """Where it is, as it may be shown."""
    sha256: str = ""
    """Of its bytes; empty where they could not be read."""
    status: str
    """computed, cached or failed."""
    seconds: float = 0.0
    """Of this run's work on the image."""
    things: int = 0
    stuff: int = 0
    coverage: float = 0.0
    """Share of pixels that bear a label, 0 to 1."""
    segments: dict[str, int] = {}
    """How many segments of each category name; of images that are described in full."""
    stages: list[StageOutcome] = []
    """In their order; empty where the stored result answered and no more was asked."""
    panoptic_png: str = ""
    panoptic_json: str = ""
    overlay: str = ""
    """Path of the overlay picture, of the first images."""
    change: Change | None = None
    """What differs from the run that this one changes; None if there is none, or if the store no
    longer holds its result."""
    pq: float | None = None
    """Panoptic quality of this image alone, 0 to 1, where the truth is known."""
    mended: int = 0
    """Damaged artifacts that were found and computed again."""
    warning: str = ""
    """Something a person should know though the image was segmented."""
    reason: str = ""
    """Of a failure: one sentence."""
    kind: str = ""
    """Of a failure: the error's class."""

    @property
    def failed(self) -> bool:
        """Whether the image could not be segmented."""
        return self.status == "failed"

    def line(self) -> str:
        """One line of JSON for the table of all images."""
        return self.model_dump_json(
            exclude_defaults=True, exclude={"stages": {"__all__": {"manifest_sha256", "result"}}}
        )

    def task_runs(self, kind: TaskRuns) -> int:
        """Prefect's task runs that the image took, at the least."""
        return len(STAGES) if kind == "stages" and self.status == "computed" else 0
