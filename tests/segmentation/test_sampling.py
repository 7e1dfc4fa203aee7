"""Points that prompt the segmenter, and the parts they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from zeropan.segmentation.records import Bool, Float32
from zeropan.segmentation.regions import connected_parts, depth_inside, drop_crumbs, fill_holes
from zeropan.segmentation.sampling import draw_points, erode_square, spread_points

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))


def inside(points: Float32, mask: Bool) -> bool:
    columns, rows = np.floor(points).astype(int).T
    return bool(mask[rows, columns].all())


@given(MASKS, st.integers(1, 20), st.floats(0, 9))
def test_spread_points_lie_inside_and_differ(mask: Bool, count: int, erosion: float) -> None:
    points = spread_points(mask, count, erosion_px=erosion)
    assert inside(points, mask)
    assert len(np.unique(points, axis=0)) == len(points) <= count
    assert (len(points) > 0) == mask.any()
    np.testing.assert_array_equal(points, spread_points(mask, count, erosion_px=erosion))


def test_the_first_spread_point_is_the_deepest() -> None:
    mask = np.zeros((20, 30), dtype=np.bool_)
    mask[2:17, 3:18] = True
    assert spread_points(mask, 1, erosion_px=0).tolist() == [[10.5, 9.5]]


def test_spread_points_are_far_from_the_border_and_from_each_other() -> None:
    mask = np.ones((60, 90), dtype=np.bool_)
    points = spread_points(mask, 12, erosion_px=6)
    depth = depth_inside(mask)
    assert all(depth[int(y), int(x)] > 6 for x, y in points)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(12)
    # Twelve points on a grid of 4 x 3 would be 20 apart or so.
    assert gaps.min() > 12


def test_a_part_too_thin_for_the_erosion_keeps_its_middle() -> None:
    mask = np.zeros((30, 100), dtype=np.bool_)
    mask[10:15] = True
    points = spread_points(mask, 6, erosion_px=50)
    assert len(points) == 6
    assert (np.abs(points[:, 1] - 12.5) <= 1).all()
    assert np.ptp(points[:, 0]) > 60


@pytest.mark.parametrize("size", [(1500, 700), (4000, 30), (20, 1100)])
def test_large_masks_are_sampled_as_well(size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    mask = (2 * x / size[1] - 1) ** 2 + (2 * y / size[0] - 1) ** 2 <= 1
    points = spread_points(mask, 16, erosion_px=4)
    assert len(points) == 16
    assert inside(points, mask)
    assert max(np.ptp(points, axis=0)) > max(size) / 2


def test_a_line_that_coarse_sampling_would_miss_has_points() -> None:
    mask = np.zeros((2000, 2000), dtype=np.bool_)
    mask[1001, 3:1500] = True
    assert inside(spread_points(mask, 4, erosion_px=3), mask)


@given(MASKS, st.integers(0, 8))
def test_square_erosion_is_the_proof_of_concepts(mask: Bool, side: int) -> None:
    kernel = np.ones((side, side)) if side else np.ones((1, 1))
    expected = ndimage.binary_erosion(mask, structure=kernel)
    np.testing.assert_array_equal(erode_square(mask, side), expected)


def test_points_are_drawn_in_proportion_to_the_scores() -> None:
    mask = np.array([[True, True, True, False]])
    scores = np.array([[0.0, 1.0, 3.0, 9.0]], dtype=np.float32)
    points = draw_points(mask, scores, 4000, rng=np.random.default_rng(0))
    share = np.bincount(points[:, 0].astype(int), minlength=4) / 4000
    assert share[[0, 3]].tolist() == [0, 0]
    assert share[2] == pytest.approx(0.75, abs=0.03)
    assert (points[:, 1] == 0.5).all()


def test_pixels_without_scores_are_drawn_alike() -> None:
    mask = np.ones((1, 2), dtype=np.bool_)
    scores = np.zeros((1, 2), dtype=np.float32)
    points = draw_points(mask, scores, 1000, rng=np.random.default_rng(0))
    assert (points[:, 0] < 1).mean() == pytest.approx(0.5, abs=0.06)
    assert len(draw_points(~mask, scores, 10, rng=np.random.default_rng(0))) == 0


@given(MASKS, st.integers(0, 2**32 - 1))
def test_drawn_points_lie_inside_and_follow_the_seed(mask: Bool, seed: int) -> None:
    scores = np.full(mask.shape, 0.5, dtype=np.float32)
    first, second = (
        draw_points(mask, scores, 9, rng=np.random.default_rng(seed)) for _ in range(2)
    )
    assert inside(first, mask)
    np.testing.assert_array_equal(first, second)


def test_drawn_points_are_the_same_bytes_for_ever() -> None:
    # A change here changes stored results: raise the stage's algorithm version with it.
    mask = np.ones((50, 50), dtype=np.bool_)
    scores = np.linspace(0, 1, 2500, dtype=np.float32).reshape(50, 50)
    points = draw_points(mask, scores, 4, rng=np.random.default_rng(7))
    assert points.tolist() == [[26.5, 39.5], [18.5, 47.5], [1.5, 44.5], [36.5, 23.5]]


@given(MASKS, st.floats(0, 12))
def test_parts_partition_a_mask_largest_first(mask: Bool, min_area: float) -> None:
    parts = list(connected_parts(mask, min_area))
    painted = np.zeros(mask.shape, dtype=int)
    for part in parts:
        painted[part.window] += part.mask
        assert part.area == part.mask.sum() >= min_area
    assert painted.max(initial=0) <= 1
    if min_area <= 1:
        np.testing.assert_array_equal(painted.astype(bool), mask)
    areas = [part.area for part in parts]
    assert areas == sorted(areas, reverse=True)


def test_depth_counts_from_the_nearest_pixel_outside() -> None:
    depth = depth_inside(np.ones((3, 5), dtype=np.bool_))
    assert depth.tolist() == [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]


def test_only_small_holes_are_filled() -> None:
    ring = np.ones((7, 9), dtype=np.bool_)
    ring[2, 2] = ring[3:5, 5:7] = False
    assert (~fill_holes(ring, 0.9)).sum() == 5
    assert (~fill_holes(ring, 1)).sum() == 4
    assert fill_holes(ring, 4).all()


def test_a_bay_is_no_hole() -> None:
    bay = np.ones((4, 4), dtype=np.bool_)
    bay[0, 1] = False
    np.testing.assert_array_equal(fill_holes(bay, 99), bay)


def test_a_filled_hole_may_be_larger_than_what_lies_outside() -> None:
    ring = np.ones((5, 5), dtype=np.bool_)
    ring[1:4, 1:4] = False
    assert fill_holes(ring, 9).all()


def test_crumbs_go_and_the_largest_part_stays() -> None:
    mask = np.zeros((5, 9), dtype=np.bool_)
    mask[1:4, 0:3] = mask[0:2, 5:7] = mask[4, 8] = True
    assert drop_crumbs(mask, 1).sum() == 13
    assert drop_crumbs(mask, 4).sum() == 9
    assert drop_crumbs(mask, 99).sum() == 9
    np.testing.assert_array_equal(drop_crumbs(mask, 0), mask)


@given(MASKS, st.floats(0, 20))
def test_cleaning_is_done_once_for_all(mask: Bool, area: float) -> None:
    filled, kept = fill_holes(mask, area), drop_crumbs(mask, area)
    assert (filled | mask).sum() == filled.sum() and (kept & mask).sum() == kept.sum()
    np.testing.assert_array_equal(fill_holes(filled, area), filled)
    np.testing.assert_array_equal(drop_crumbs(kept, area), kept)
    assert kept.any() == mask.any()
