"""Outline measures on shapes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zeropan.errors import RecordError
from zeropan.evaluation.boundary import band, boundary_f, boundary_iou, contour
from zeropan.segmentation.records import Bool

masks = arrays.arrays(np.bool_, (12, 15))


def square(left: int, size: int = 40) -> Bool:
    mask = np.zeros((100, 100), dtype=np.bool_)
    mask[30 : 30 + size, left : left + size] = True
    return mask


def test_the_same_outline_is_perfect() -> None:
    assert boundary_f(square(20), square(20), tolerance_px=0) == 1
    assert boundary_iou(square(20), square(20)) == 1


def test_a_shift_within_the_tolerance_costs_nothing_and_beyond_it_much() -> None:
    assert boundary_f(square(20), square(22), tolerance_px=2) == 1
    # Only the two horizontal edges still match, but for the ends that stick out.
    beyond = boundary_f(square(20), square(25), tolerance_px=2)
    assert 0.4 < beyond < 0.6
    assert boundary_f(square(0, 20), square(70, 20), tolerance_px=2) == 0


def test_boundary_iou_is_stricter_than_iou() -> None:
    one, other = square(20), square(22)
    iou = (one & other).sum() / (one | other).sum()
    assert boundary_iou(one, other) < iou - 0.3


def test_bands_of_known_size() -> None:
    assert contour(square(20, 10)).sum() == 36
    assert band(square(20, 10), 1).sum() == 36
    assert band(square(20, 10), 2).sum() == 36 + 28
    assert band(square(20, 10), 5).sum() == 100


def test_the_border_of_the_image_is_an_edge_only_for_boundary_iou() -> None:
    full = np.ones((20, 20), dtype=np.bool_)
    assert not contour(full).any()
    assert band(full, 1).sum() == 76
    assert boundary_f(full, full) == 1
    assert boundary_f(full, np.zeros_like(full)) == 0


def test_empty_masks() -> None:
    empty = np.zeros((100, 100), dtype=np.bool_)
    assert boundary_f(empty, empty) == 1 == boundary_iou(empty, empty)
    assert boundary_f(empty, square(20)) == 0 == boundary_iou(square(20), empty)


def test_shapes_must_agree() -> None:
    with pytest.raises(RecordError, match=r"mask: expected \(2, 3\) bool, got \(3, 2\) bool"):
        boundary_f(np.ones((3, 2), np.bool_), np.ones((2, 3), np.bool_))


@given(masks, masks, st.floats(0, 5))
def test_laws(one: Bool, other: Bool, tolerance: float) -> None:
    f = boundary_f(one, other, tolerance_px=tolerance)
    assert 0 <= f <= 1
    assert f == pytest.approx(boundary_f(other, one, tolerance_px=tolerance))
    assert boundary_f(one, other, tolerance_px=tolerance + 1) >= f - 1e-12
    iou = boundary_iou(one, other)
    assert 0 <= iou <= 1
    assert iou == boundary_iou(other, one)
    assert boundary_iou(one, one) == 1 == boundary_f(one, one, tolerance_px=0)
