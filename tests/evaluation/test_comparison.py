"""What changed between two results."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from zeropan.errors import RecordError
from zeropan.evaluation.comparison import compare
from zeropan.segmentation.records import Panoptic, SegmentInfo


def result_of(label_map: ArrayLike, categories: dict[int, int]) -> Panoptic:
    labels = np.array(label_map, dtype=np.int32)
    return Panoptic(
        labels,
        tuple(
            SegmentInfo(i, categories[i], True, int((labels == i).sum()), (0, 0, 1, 1), 1.0)
            for i in sorted(categories)
        ),
    )


def test_the_same_result_under_other_ids_has_not_changed() -> None:
    first = result_of([[1, 1, 2, 0]], {1: 5, 2: 6})
    second = result_of([[2, 2, 1, 0]], {1: 6, 2: 5})
    comparison = compare(first, second)
    assert [(pair.first.id, pair.second.id, pair.iou) for pair in comparison.pairs] == [
        (1, 2, 1.0),
        (2, 1, 1.0),
    ]
    assert (comparison.lost, comparison.gained, comparison.changed_share) == ((), (), 0.0)


def test_lost_gained_and_moved_segments_are_told_apart() -> None:
    first = result_of([[1, 1, 1, 1, 2, 2, 0, 0]], {1: 5, 2: 6})
    second = result_of([[1, 1, 1, 0, 0, 0, 3, 3]], {1: 5, 3: 7})
    comparison = compare(first, second)
    assert [pair.iou for pair in comparison.pairs] == [3 / 4]
    assert [segment.id for segment in comparison.lost] == [2]
    assert [segment.id for segment in comparison.gained] == [3]
    assert comparison.changed_share == pytest.approx(5 / 8)


def test_another_category_on_the_same_pixels_is_a_relabelled_pair() -> None:
    comparison = compare(result_of([[1, 1]], {1: 5}), result_of([[1, 1]], {1: 6}))
    assert [pair.relabelled for pair in comparison.pairs] == [True]
    assert (comparison.lost, comparison.gained, comparison.changed_share) == ((), (), 1.0)


def test_half_an_overlap_makes_no_pair() -> None:
    comparison = compare(result_of([[1, 1]], {1: 5}), result_of([[1, 0]], {1: 5}))
    assert comparison.pairs == ()
    assert len(comparison.lost) == len(comparison.gained) == 1


def test_results_of_other_sizes_are_refused() -> None:
    with pytest.raises(RecordError, match=r"expected \(1, 2\) as in the other, got \(1, 1\)"):
        compare(result_of([[1, 1]], {1: 5}), result_of([[1]], {1: 5}))
