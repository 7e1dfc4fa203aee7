"""What became of a result after a change, as plain data that travels as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from zeropan.evaluation.comparison import Comparison
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import SegmentInfo


class Change(BaseModel):
    """How one image's result differs from an earlier one."""

    matched: int
    """Segments found in both, with an IoU above 0.5."""
    mean_iou: float
    """Mean intersection over union of the matched segments, 0 to 1; 1 where there is none."""
    relabelled: list[str]
    """"old name → new name" for matched segments of another category."""
    gained: dict[str, int]
    """New segments by category name."""
    lost: dict[str, int]
    """Segments that are gone, by category name."""
    changed_pixels: float
    """Share of the image's pixels, 0 to 1."""

    @classmethod
    def of(
        cls, comparison: Comparison, before: Categories, after: Categories | None = None
    ) -> Change:
        """A comparison with names; both results number their categories alike."""
        names = after or before
        pairs = comparison.pairs
        return cls(
            matched=len(pairs),
            mean_iou=sum(pair.iou for pair in pairs) / len(pairs) if pairs else 1.0,
            relabelled=[
                f"{_name(pair.first, before)} → {_name(pair.second, names)}"
                for pair in pairs
                if pair.relabelled
            ],
            gained=_counted(comparison.gained, names),
            lost=_counted(comparison.lost, before),
            changed_pixels=comparison.changed_share,
        )

    @property
    def nothing(self) -> bool:
        """Whether the two results are the same, pixel for pixel."""
        return self.changed_pixels == 0 and not (self.gained or self.lost or self.relabelled)

    def in_words(self) -> str:
        """One line: "+2 cup, -1 spoon; 3.1% of pixels changed"."""
        if self.nothing:
            return "the same, pixel for pixel"
        parts = [f"+{count} {name}" for name, count in self.gained.items()]
        parts += [f"-{count} {name}" for name, count in self.lost.items()]
        parts += self.relabelled
        said = ", ".join(parts) or "the same segments"
        return f"{said}; {self.changed_pixels:.1%} of pixels changed"

    def metrics(self) -> dict[str, float]:
        """Numbers for MLflow."""
        return {
            "change/matched": float(self.matched),
            "change/mean_iou": self.mean_iou,
            "change/gained": float(sum(self.gained.values())),
            "change/lost": float(sum(self.lost.values())),
            "change/relabelled": float(len(self.relabelled)),
            "change/pixels": self.changed_pixels,
        }


def _counted(segments: Iterable[SegmentInfo], categories: Categories) -> dict[str, int]:
    return dict(Counter(_name(segment, categories) for segment in segments))


def _name(segment: SegmentInfo, categories: Categories) -> str:
    return categories.by_id(segment.category_id).name
