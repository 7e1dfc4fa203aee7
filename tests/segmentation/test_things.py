"""Step 1: which boxes are kept, in which order, and their masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike

from tests.segmentation.plain_prompter import PlainPrompter, embed_plainly
from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.nms import iou_with_all, suppress_duplicates
from zeropan.segmentation.records import Float32, GroundedBoxes
from zeropan.segmentation.things import detect, segment_things, thresholds_of

SIZE = (60, 80)
CUP_AND_EGG = Categories.from_words(["cup", "egg"], [])


def f32(values: ArrayLike) -> Float32:
    return np.array(values, dtype=np.float32)


def test_a_box_goes_to_its_best_category_above_that_categorys_threshold() -> None:
    boxes = f32([[0, 0, 9, 9], [10, 0, 19, 9], [20, 0, 29, 9]])
    scores = f32([[0.6, 0.5], [0.6, 0.3], [0.2, 0.3]])
    found = detect(boxes, scores, f32([0.7, 0.35]), SIZE)
    assert found.category_ids.tolist() == [2]
    assert found.boxes_xyxy[:, 0].tolist() == [0]
    assert found.scores == pytest.approx(f32([0.5]))


def test_a_score_at_the_threshold_is_enough() -> None:
    assert len(detect(f32([[0, 0, 9, 9]]), f32([[0.35]]), f32([0.35]), SIZE).scores) == 1


def test_a_category_may_have_its_own_threshold() -> None:
    categories = Categories.checked(
        [
            Category(name="cup", isthing=True),
            Category(name="egg", isthing=True, box_threshold=0.1),
            Category(name="box", isthing=True, box_threshold=0.0),
        ],
        [],
    )
    thresholds = thresholds_of(categories, ThingsConfig(box_threshold=0.4))
    assert thresholds.tolist() == f32([0.4, 0.1, 0.0]).tolist()


@pytest.mark.parametrize(
    "box",
    [
        [10, 10, 10, 20],
        [10, 10, 20, 10],
        [20, 10, 10, 20],
        [90, 10, 120, 20],
        [-9, -9, 0, 20],
        [np.nan, 10, 20, 20],
        [10, 10, 20, np.nan],
    ],
)
def test_boxes_without_an_area_inside_the_image_are_dropped(box: list[float]) -> None:
    assert len(detect(f32([box]), f32([[0.9]]), f32([0.3]), SIZE).scores) == 0


def test_boxes_are_clipped_to_the_image() -> None:
    found = detect(f32([[-5, -5, 200, np.inf]]), f32([[0.9]]), f32([0.3]), SIZE)
    assert found.boxes_xyxy.tolist() == [[0, 0, 80, 60]]


def test_equal_scores_are_ordered_by_box_and_then_category() -> None:
    boxes = f32([[5, 0, 9, 9], [0, 5, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
    scores = f32([[0.5, 0], [0.5, 0], [0, 0.5], [0.5, 0]])
    found = detect(boxes, scores, f32([0.3, 0.3]), SIZE)
    assert found.boxes_xyxy[:, :2].tolist() == [[0, 0], [0, 0], [0, 5], [5, 0]]
    assert found.category_ids.tolist() == [1, 2, 1, 1]


def test_iou_of_boxes() -> None:
    others = f32([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0, 0, 1, 1], [9, 9, 9, 9]])
    expected = [1, 1 / 3, 0, 1 / 4, 0]
    assert iou_with_all(f32([0, 0, 2, 2]), others).tolist() == pytest.approx(expected)


def test_of_duplicates_the_first_stays_whatever_the_category() -> None:
    boxes = f32([[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10], [0, 0, 10, 4]])
    assert suppress_duplicates(boxes, max_iou=0.7, max_count=9).tolist() == [0, 2, 3]
    assert suppress_duplicates(boxes, max_iou=0.9, max_count=9).tolist() == [0, 1, 2, 3]
    assert suppress_duplicates(boxes, max_iou=0.7, max_count=2).tolist() == [0, 2]


def test_a_dropped_box_drops_no_other() -> None:
    # The third overlaps only the second, which the first has put aside.
    boxes = f32([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])
    assert suppress_duplicates(boxes, max_iou=0.5, max_count=9).tolist() == [0, 2]


def test_an_iou_of_one_keeps_even_equal_boxes() -> None:
    boxes = f32([[0, 0, 10, 10]] * 3)
    assert suppress_duplicates(boxes, max_iou=1.0, max_count=9).tolist() == [0, 1, 2]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(2)), elements=st.integers(0, 9)),
    st.floats(0, 1),
)
def test_suppression_agrees_with_its_definition(corners: Float32, max_iou: float) -> None:
    boxes = np.concatenate([corners, corners + f32([4, 3])], axis=1)
    kept: list[int] = []
    for index, box in enumerate(boxes):
        others = iou_with_all(box, boxes[kept].reshape(-1, 4))
        if max_iou == 1 or (others <= max_iou).all():
            kept.append(index)
    assert suppress_duplicates(boxes, max_iou=max_iou, max_count=99).tolist() == kept


def grounded(boxes: Float32, scores: Float32) -> GroundedBoxes:
    """One token a prompt, for a cup and an egg."""
    tokens = np.array([[0, 1]], dtype=np.int32)
    return GroundedBoxes(boxes[None], scores[None], tokens, ("cup", "egg"), SIZE)


EMBEDDING = embed_plainly(np.zeros((*SIZE, 3), dtype=np.uint8))


def test_kept_boxes_come_with_their_masks() -> None:
    answer = grounded(f32([[0, 0, 9, 9], [20, 10, 40, 30]]), f32([[0.4, 0.1], [0.2, 0.9]]))
    things = segment_things(
        answer, EMBEDDING, CUP_AND_EGG, ThingsConfig(), segmenter=PlainPrompter()
    )
    assert things.category_ids.tolist() == [2, 1]
    assert things.scores == pytest.approx(f32([0.9, 0.4]))
    assert things.mask_quality == pytest.approx(f32([0.9, 0.9]))
    for mask, (x0, y0, x1, y1) in zip(things.masks, things.boxes_xyxy.astype(int), strict=True):
        assert mask.sum() == pytest.approx(np.pi / 4 * (x1 - x0) * (y1 - y0), rel=0.1)
        assert mask[y0:y1, x0:x1].sum() == mask.sum()


def test_at_most_so_many_boxes_are_kept_best_first() -> None:
    boxes = f32([[10 * i, 0, 10 * i + 9, 9] for i in range(5)])
    scores = f32([[0.4 + 0.1 * i, 0] for i in range(5)])
    things = segment_things(
        grounded(boxes, scores),
        EMBEDDING,
        CUP_AND_EGG,
        ThingsConfig(max_boxes=2),
        segmenter=PlainPrompter(),
    )
    assert things.boxes_xyxy[:, 0].tolist() == [40, 30]


@pytest.mark.parametrize(
    ("answer", "categories"),
    [
        (grounded(f32([[0, 0, 9, 9]]), f32([[0.1, 0.1]])), CUP_AND_EGG),
        (grounded(f32(np.zeros((0, 4))), f32(np.zeros((0, 2)))), CUP_AND_EGG),
        (
            GroundedBoxes(
                f32(np.zeros((0, 0, 4))),
                f32(np.zeros((0, 0, 0))),
                np.zeros((0, 0), dtype=np.int32),
                (),
                SIZE,
            ),
            Categories(),
        ),
    ],
)
def test_nothing_found_is_an_empty_record(answer: GroundedBoxes, categories: Categories) -> None:
    things = segment_things(
        answer, EMBEDDING, categories, ThingsConfig(), segmenter=PlainPrompter()
    )
    assert things.masks.shape == (0, *SIZE)


def test_other_prompts_and_other_images_are_refused() -> None:
    answer = grounded(f32([[0, 0, 9, 9]]), f32([[0.9, 0.1]]))
    prompter = PlainPrompter()
    with pytest.raises(RecordError, match="ground the image with the same categories"):
        segment_things(answer, EMBEDDING, Categories(), ThingsConfig(), segmenter=prompter)
    other = embed_plainly(np.zeros((5, 5, 3), dtype=np.uint8))
    with pytest.raises(RecordError, match="ground and embed the same image"):
        segment_things(answer, other, CUP_AND_EGG, ThingsConfig(), segmenter=prompter)


@given(st.data())
def test_the_order_of_queries_does_not_matter(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 8))
    corners = data.draw(hnp.arrays(np.float32, (count, 2), elements=st.integers(0, 50)))
    boxes = np.concatenate([corners, corners + f32([20, 15])], axis=1)
    # Few values, so that scores are often equal.
    scores = data.draw(
        hnp.arrays(np.float32, (count, 2), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    )
    order = np.array(data.draw(st.permutations(range(count))), dtype=np.intp)
    config = ThingsConfig(nms_iou=data.draw(st.sampled_from([0.5, 1.0])), max_boxes=4)
    first, second = (
        segment_things(answer, EMBEDDING, CUP_AND_EGG, config, segmenter=PlainPrompter())
        for answer in (grounded(boxes, scores), grounded(boxes[order], scores[order]))
    )
    for field in first.AXES:
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
