"""Panoptic quality against ground truth, with COCO's rules.

Kirillov, He, Girshick, Rother, Dollar: Panoptic Segmentation (CVPR 2019). A predicted and a true
segment of one category match if their intersection over union is above 0.5, which no second pair
of the same segments can reach. PQ = SQ * RQ for each category; the averages are taken over the
categories that occur. As in COCO's panopticapi:

- pixels whose true label is 0 (void) do not count for the union of a pair,
- a true segment marked `iscrowd` is never matched and never missed,
- an unmatched prediction more than half of which lies in void, or in crowds of its own category,
  is no false positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from zeropan.errors import RecordError
from zeropan.evaluation.overlap import overlaps
from zeropan.evaluation.truth import GroundTruth
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic

_VOID = 0


@dataclass(frozen=True)
class CategoryCounts:
    """What is counted for one category over all images; counts add up."""

    iou_sum: float = 0.0
    """Sum of the intersections over union of the matched pairs."""
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: CategoryCounts) -> CategoryCounts:
        return CategoryCounts(
            self.iou_sum + other.iou_sum,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def occurs(self) -> bool:
        """Whether any segment of the category counted."""
        return self._pairs > 0

    @property
    def _pairs(self) -> float:
        return self.true_positives + (self.false_positives + self.false_negatives) / 2

    @property
    def sq(self) -> float:
        """Segmentation quality, 0 to 1: the mean IoU of matched pairs; 0 if there are none."""
        return self.iou_sum / self.true_positives if self.true_positives else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality, 0 to 1: the F1 score of the matching; 0 if nothing occurs."""
        return self.true_positives / self._pairs if self.occurs else 0.0

    @property
    def pq(self) -> float:
        """Panoptic quality, 0 to 1; 0 if nothing occurs."""
        return self.iou_sum / self._pairs if self.occurs else 0.0


@dataclass(frozen=True)
class Quality:
    """Means over the categories that occur."""

    pq: float
    sq: float
    rq: float
    categories: int
    """How many categories the means are over; at least 1."""


@dataclass(frozen=True)
class QualityReport:
    """Panoptic quality of a set of images. None where no category of the kind occurs."""

    all: Quality | None
    things: Quality | None
    stuff: Quality | None
    per_category: Mapping[int, CategoryCounts]
    """For every category id; `occurs` tells those that count."""


class PanopticQuality:
    """Adds up images; parts counted elsewhere can be merged in.

    Args:
        isthing: for every category id, whether it is a thing.
    """

    def __init__(self, isthing: Mapping[int, bool]) -> None:
        self._isthing = dict(isthing)
        self._counts = {category_id: CategoryCounts() for category_id in isthing}

    @classmethod
    def of(cls, categories: Categories) -> Self:
        """An empty count for these categories."""
        return cls({i: category.isthing for i, category in enumerate(categories.ordered, start=1)})

    def add(self, truth: GroundTruth, prediction: Panoptic) -> None:
        """Count one image.

        Raises:
            RecordError: the sizes differ, or a segment's category is not among those counted.
        """
        self._expect_known(truth, prediction)
        for category_id, counts in match(truth, prediction).items():
            self._counts[category_id] += counts

    def merge(self, other: PanopticQuality) -> None:
        """Add what another one has counted.

        Raises:
            RecordError: the two count different categories.
        """
        if self._isthing != other._isthing:
            raise RecordError(
                f"categories: expected {self._isthing}, got {other._isthing}; "
                "merge counts of the same categories"
            )
        for category_id, counts in other._counts.items():
            self._counts[category_id] += counts

    def result(self) -> QualityReport:
        """The quality of everything counted so far."""
        return QualityReport(
            all=_mean(list(self._counts.values())),
            things=_mean([c for i, c in self._counts.items() if self._isthing[i]]),
            stuff=_mean([c for i, c in self._counts.items() if not self._isthing[i]]),
            per_category=dict(self._counts),
        )

    def _expect_known(self, truth: GroundTruth, prediction: Panoptic) -> None:
        for field, used in (
            ("truth", {segment.category_id for segment in truth.segments}),
            ("prediction", {segment.category_id for segment in prediction.segments_info}),
        ):
            if unknown := used - self._isthing.keys():
                raise RecordError(
                    f"{field}: expected category ids of {sorted(self._isthing)}, "
                    f"got {sorted(unknown)}; count with the categories of both"
                )


def match(truth: GroundTruth, prediction: Panoptic) -> dict[int, CategoryCounts]:
    """Match one image's segments and count them by category id.

    Raises:
        RecordError: the two label maps differ in size.
    """
    shared = overlaps(truth.label_map, prediction.label_map)
    true_areas: dict[int, int] = {}
    for (true_id, _), pixels in shared.items():
        true_areas[true_id] = true_areas.get(true_id, 0) + pixels
    true_segments = {segment.id: segment for segment in truth.segments}
    predicted = {segment.id: segment for segment in prediction.segments_info}

    counts: dict[int, CategoryCounts] = {}

    def count(category_id: int, what: CategoryCounts) -> None:
        counts[category_id] = counts.get(category_id, CategoryCounts()) + what

    matched_true: set[int] = set()
    matched_predicted: set[int] = set()
    for (true_id, predicted_id), pixels in shared.items():
        if true_id == _VOID or predicted_id == _VOID:
            continue
        true, guess = true_segments[true_id], predicted[predicted_id]
        if true.iscrowd or true.category_id != guess.category_id:
            continue
        in_void = shared.get((_VOID, predicted_id), 0)
        iou = pixels / (guess.area + true_areas[true_id] - pixels - in_void)
        if iou > 0.5:
            count(true.category_id, CategoryCounts(iou_sum=iou, true_positives=1))
            matched_true.add(true_id)
            matched_predicted.add(predicted_id)

    for true_id, true in true_segments.items():
        if true_id not in matched_true and not true.iscrowd:
            count(true.category_id, CategoryCounts(false_negatives=1))
    for predicted_id, guess in predicted.items():
        if predicted_id in matched_predicted:
            continue
        ignored = shared.get((_VOID, predicted_id), 0) + sum(
            shared.get((true.id, predicted_id), 0)
            for true in truth.segments
            if true.iscrowd and true.category_id == guess.category_id
        )
        if ignored <= guess.area / 2:
            count(guess.category_id, CategoryCounts(false_positives=1))
    return counts


def _mean(counts: list[CategoryCounts]) -> Quality | None:
    present = [category for category in counts if category.occurs]
    if not present:
        return None
    return Quality(
        pq=sum(category.pq for category in present) / len(present),
        sq=sum(category.sq for category in present) / len(present),
        rq=sum(category.rq for category in present) / len(present),
        categories=len(present),
    )
