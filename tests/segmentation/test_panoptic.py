"""Step 4: who gets a pixel, and what is too small to stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import METHODS, PanopticConfig
from zeropan.segmentation.panoptic import fuse
from zeropan.segmentation.records import Panoptic, StuffMasks, StuffRegions, ThingMasks

CATEGORIES = Categories.from_words(["cup", "egg"], ["wood", "sky"])
CUP, EGG, WOOD, SKY = 1, 2, 3, 4
PLAIN = METHODS["reference"].panoptic.model_copy(update={"overlap": "score", "fill": "region"})


def things_of(
    masks: ArrayLike, scores: Sequence[float], ids: Sequence[int], size: tuple[int, int]
) -> ThingMasks:
    stack = np.array(masks, dtype=np.bool_).reshape(-1, *size)
    boxes = np.zeros((len(stack), 4), dtype=np.float32)
    for box, mask in zip(boxes, stack, strict=True):
        if mask.any():
            rows, columns = np.nonzero(mask)
            box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    quality = np.full(len(stack), 0.8, dtype=np.float32)
    return ThingMasks(
        boxes, stack, np.array(scores, dtype=np.float32), quality, np.array(ids, dtype=np.int32)
    )


def regions_of(label_map: ArrayLike, score: float = 0.5) -> StuffRegions:
    labels = np.array(label_map, dtype=np.int32)
    return StuffRegions(labels, np.where(labels > 0, score, 0).astype(np.float16))


def stuff_of(
    masks: ArrayLike, scores: Sequence[float], ids: Sequence[int], size: tuple[int, int]
) -> StuffMasks:
    stack = np.array(masks, dtype=np.bool_).reshape(-1, *size)
    return StuffMasks(
        stack,
        np.array(scores, dtype=np.float32),
        np.array(ids, dtype=np.int32),
        np.zeros((0, 2), dtype=np.float32),
        np.zeros(0, dtype=np.int32),
    )


def row(
    *,
    things: Sequence[tuple[str, float, int]] = (),
    coarse: str = "",
    stuff: Sequence[tuple[str, float, int]] = (),
    config: PanopticConfig = PLAIN,
    categories: Categories = CATEGORIES,
) -> Panoptic:
    """Fuse an image of one row; in masks "#" is in, and in `coarse` digits are category ids."""
    texts = [text for text, _, _ in (*things, *stuff)] + [coarse]
    size = (1, max(len(text) for text in texts))
    return fuse(
        things_of(
            [[[mark == "#" for mark in text]] for text, _, _ in things],
            [score for _, score, _ in things],
            [category for _, _, category in things],
            size,
        ),
        regions_of([[int(mark) for mark in coarse.ljust(size[1], "0")]]),
        stuff_of(
            [[[mark == "#" for mark in text]] for text, _, _ in stuff],
            [score for _, score, _ in stuff],
            [category for _, _, category in stuff],
            size,
        ),
        categories,
        config,
    )


def labels(panoptic: Panoptic) -> str:
    """The category of every pixel, "." for none."""
    category_of = {0: "."} | {s.id: str(s.category_id) for s in panoptic.segments_info}
    return "".join(category_of[label] for label in panoptic.label_map[0].tolist())


def test_things_lie_over_stuff_and_ids_follow_the_scores() -> None:
    result = row(
        things=[("##......", 0.6, EGG), ("...##...", 0.9, CUP)],
        coarse="33333444",
        stuff=[("#####...", 0.5, WOOD), (".....###", 0.7, SKY)],
    )
    assert result.label_map.tolist() == [[2, 2, 3, 1, 1, 4, 4, 4]]
    assert [(s.id, s.category_id, s.isthing, s.area) for s in result.segments_info] == [
        (1, CUP, True, 2),
        (2, EGG, True, 2),
        (3, WOOD, False, 1),
        (4, SKY, False, 3),
    ]
    assert [s.bbox_xywh for s in result.segments_info] == [
        (3, 0, 2, 1),
        (0, 0, 2, 1),
        (2, 0, 1, 1),
        (5, 0, 3, 1),
    ]
    assert [s.score for s in result.segments_info] == pytest.approx([0.9, 0.6, 0.5, 0.7])


def test_an_overlap_goes_to_the_higher_score_or_is_painted_over() -> None:
    things = [("####..", 0.9, CUP), ("..####", 0.6, EGG)]
    assert labels(row(things=things)) == "111122"
    paint = PLAIN.model_copy(update={"overlap": "paint"})
    assert labels(row(things=things, config=paint)) == "112222"
    assert labels(row(things=things[::-1], config=paint)) == "112222"


def test_the_smaller_mask_lies_on_the_larger_whatever_the_scores() -> None:
    small = PLAIN.model_copy(update={"overlap": "small", "min_visible_share": 0.3})
    plate, sushi = ("########", 0.9, CUP), ("..##....", 0.4, EGG)
    assert labels(row(things=[plate, sushi], config=small)) == "11221111"
    result = row(things=[sushi, plate], config=small)
    assert labels(result) == "11221111"
    assert [segment.score for segment in result.segments_info] == pytest.approx([0.9, 0.4])


def test_a_part_of_a_better_thing_of_its_category_is_dropped() -> None:
    small = PLAIN.model_copy(update={"overlap": "small", "min_visible_share": 0.3})
    things = [("######..", 0.9, CUP), ("..###...", 0.8, CUP), (".....###", 0.7, CUP)]
    result = row(things=things, config=small)
    assert [segment.area for segment in result.segments_info] == [5, 3]
    crowd = [("##......", 0.9, CUP), ("..##....", 0.8, CUP), ("####....", 0.7, CUP)]
    assert [s.area for s in row(things=crowd, config=small).segments_info] == [2, 2]


def test_equal_scores_go_to_the_larger_and_then_to_the_first_box() -> None:
    assert labels(row(things=[("##....", 0.5, CUP), (".#####", 0.5, EGG)])) == "122222"
    assert labels(row(things=[("..##", 0.5, CUP), (".##.", 0.5, EGG)])) == ".221"


def test_small_and_hidden_things_leave_their_pixels_to_what_lies_below() -> None:
    things = [("####......", 0.9, CUP), ("#####.....", 0.8, EGG), ("....##....", 0.7, CUP)]
    hidden = PLAIN.model_copy(update={"min_visible_share": 0.3})
    assert labels(row(things=things, coarse="3333333333", config=PLAIN)) == "1111213333"
    assert labels(row(things=things, coarse="3333333333", config=hidden)) == "1111113333"
    small = PLAIN.model_copy(update={"min_thing_area": 0.25})
    stuff = [("##########", 0.5, WOOD)]
    assert labels(row(things=things, stuff=stuff, config=small)) == "1111333333"


def test_a_wholly_hidden_thing_is_no_segment() -> None:
    assert labels(row(things=[("###", 0.9, CUP), (".#.", 0.8, EGG)])) == "111"


def test_a_category_may_have_its_own_least_area() -> None:
    categories = Categories.checked(
        [Category(name="cup", isthing=True, min_area=0.0), Category(name="egg", isthing=True)],
        [Category(name="wood", isthing=False, min_area=0.5), Category(name="sky", isthing=False)],
    )
    config = PLAIN.model_copy(update={"min_thing_area": 0.3, "min_stuff_area": 0.0})
    result = row(
        things=[("#.......", 0.9, CUP), (".##.....", 0.8, EGG)],
        coarse="00033444",
        config=config,
        categories=categories,
    )
    assert labels(result) == "1....444"


def test_of_two_stuff_masks_the_coarse_winner_then_the_score_decides() -> None:
    result = row(
        coarse="33344400",
        stuff=[("########", 0.5, WOOD), ("########", 0.7, SKY)],
    )
    assert labels(result) == "33344444"


def test_equal_stuff_scores_go_to_the_lower_id() -> None:
    assert labels(row(coarse="0", stuff=[("#", 0.5, SKY), ("#", 0.5, WOOD)])) == "3"


def test_unclaimed_pixels_come_from_the_regions_or_stay_unlabelled() -> None:
    stuff = [("##....", 0.5, WOOD)]
    assert labels(row(coarse="333440", stuff=stuff)) == "33344."
    confirmed = PLAIN.model_copy(update={"fill": "confirmed"})
    assert labels(row(coarse="333440", stuff=stuff, config=confirmed)) == "333..."
    bare = PLAIN.model_copy(update={"fill": "none"})
    assert labels(row(coarse="333440", stuff=stuff, config=bare)) == "33...."


def test_stuff_that_only_its_region_shows_has_the_regions_score() -> None:
    (segment,) = row(coarse="3330").segments_info
    assert segment.category_id == WOOD
    assert segment.score == pytest.approx(0.5)


def test_small_stuff_leaves_its_pixels_to_other_stuff() -> None:
    config = PLAIN.model_copy(update={"min_stuff_area": 0.4})
    result = row(
        coarse="3333334444",
        stuff=[("########..", 0.5, WOOD), ("......###.", 0.9, SKY)],
        config=config.model_copy(update={"fill": "none"}),
    )
    assert labels(result) == "33333333.."
    assert labels(row(coarse="4333333333", config=config)) == ".333333333"


def test_holes_are_filled_and_crumbs_removed() -> None:
    size = (10, 20)
    mask = np.zeros(size, dtype=np.bool_)
    mask[2:8, 2:10] = True
    mask[4, 4] = False
    mask[0, 18] = True
    empty = regions_of(np.full(size, WOOD))
    no_stuff = stuff_of([], [], [], size)
    for area, pixels in ((0.0, 48), (0.005, 48)):
        config = PLAIN.model_copy(update={"max_hole_area": area, "max_crumb_area": area})
        result = fuse(things_of([mask], [0.9], [CUP], size), empty, no_stuff, CATEGORIES, config)
        assert result.segments_info[0].area == pixels
        assert (result.label_map[4, 4] == 1) == (area > 0)
        assert (result.label_map[0, 18] == 1) == (area == 0)


@pytest.mark.parametrize("config", [PanopticConfig(), METHODS["reference"].panoptic])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2)])
def test_nothing_and_everything(config: PanopticConfig, size: tuple[int, int]) -> None:
    no_things, no_stuff = things_of([], [], [], size), stuff_of([], [], [], size)
    bare = regions_of(np.zeros(size))
    result = fuse(no_things, bare, no_stuff, Categories(), config)
    assert result.segments_info == ()
    assert not result.label_map.any()
    whole = np.ones((1, *size), dtype=np.bool_)
    covered = fuse(things_of(whole, [0.9], [CUP], size), bare, no_stuff, CATEGORIES, config)
    assert (covered.label_map == 1).all()
    blank = fuse(things_of(~whole, [0.9], [CUP], size), bare, no_stuff, CATEGORIES, config)
    assert blank.segments_info == ()


def test_records_of_other_images_are_refused() -> None:
    size = (4, 4)
    with pytest.raises(RecordError, match=r"stuff.masks: expected \(n, 4, 4\), got \(0, 4, 5\)"):
        fuse(
            things_of([], [], [], size),
            regions_of(np.zeros(size)),
            stuff_of([], [], [], (4, 5)),
            CATEGORIES,
            PLAIN,
        )


SIZE = (6, 7)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[ThingMasks, StuffRegions, StuffMasks]:
    # Rectangles: equal boxes then mean equal masks, as a segmenter's answers would be.
    count = draw(st.integers(0, 5))
    masks = np.zeros((count, *SIZE), dtype=np.bool_)
    for mask in masks:
        top, left = draw(st.integers(0, 5)), draw(st.integers(0, 6))
        mask[top : draw(st.integers(top, 6)), left : draw(st.integers(left, 7))] = True
    score = st.sampled_from([0.25, 0.5, 0.75])
    coarse = draw(hnp.arrays(np.int32, SIZE, elements=st.sampled_from([0, WOOD, SKY])))
    stuff_ids = draw(st.sampled_from([[], [WOOD], [SKY], [WOOD, SKY]]))
    return (
        things_of(
            masks,
            [draw(score) for _ in masks],
            [draw(st.sampled_from([CUP, EGG])) for _ in masks],
            SIZE,
        ),
        regions_of(coarse),
        stuff_of(
            draw(hnp.arrays(np.bool_, (len(stuff_ids), *SIZE))),
            [draw(score) for _ in stuff_ids],
            stuff_ids,
            SIZE,
        ),
    )


CONFIGS = st.builds(
    PanopticConfig,
    overlap=st.sampled_from(["score", "small", "paint"]),
    min_thing_area=st.sampled_from([0.0, 0.1]),
    min_stuff_area=st.sampled_from([0.0, 0.2]),
    max_hole_area=st.sampled_from([0.0, 0.05]),
    max_crumb_area=st.sampled_from([0.0, 0.05]),
    min_visible_share=st.sampled_from([0.0, 0.5]),
    fill=st.sampled_from(["confirmed", "region", "none"]),
)


@given(inputs(), CONFIGS)
def test_segments_partition_the_image(
    records: tuple[ThingMasks, StuffRegions, StuffMasks], config: PanopticConfig
) -> None:
    things, regions, stuff = records
    result = fuse(things, regions, stuff, CATEGORIES, config)
    ids = [segment.id for segment in result.segments_info]
    assert ids == list(range(1, len(ids) + 1))
    assert set(np.unique(result.label_map).tolist()) <= {0, *ids}
    kinds = [segment.isthing for segment in result.segments_info]
    assert kinds == sorted(kinds, reverse=True)
    scores = [segment.score for segment in result.segments_info if segment.isthing]
    assert scores == sorted(scores, reverse=True)
    stuff_ids = [s.category_id for s in result.segments_info if not s.isthing]
    assert stuff_ids == sorted(set(stuff_ids))
    for segment in result.segments_info:
        rows, columns = np.nonzero(result.label_map == segment.id)
        x, y, width, height = segment.bbox_xywh
        assert [x, x + width - 1] == [columns.min(), columns.max()]
        assert [y, y + height - 1] == [rows.min(), rows.max()]
        least = config.min_thing_area if segment.isthing else config.min_stuff_area
        assert segment.area >= least * result.label_map.size
    unlabelled = result.label_map == 0
    if config.min_stuff_area == 0 and config.fill == "region":
        assert not (unlabelled & (regions.label_map > 0)).any()


@given(inputs(), CONFIGS, st.randoms(use_true_random=False))
def test_the_order_of_things_does_not_matter(
    records: tuple[ThingMasks, StuffRegions, StuffMasks], config: PanopticConfig, random: object
) -> None:
    things, regions, stuff = records
    order = list(range(len(things.scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = ThingMasks(**{field: getattr(things, field)[order] for field in things.AXES})
    first = fuse(things, regions, stuff, CATEGORIES, config)
    second = fuse(shuffled, regions, stuff, CATEGORIES, config)
    np.testing.assert_array_equal(first.label_map, second.label_map)
    assert first.segments_info == second.segments_info


@given(inputs())
def test_the_reference_paints_as_the_proof_of_concept(
    records: tuple[ThingMasks, StuffRegions, StuffMasks],
) -> None:
    """There, stuff is painted first and then one thing after the other, in detection order."""
    things, regions, stuff = records
    result = fuse(things, regions, stuff, CATEGORIES, METHODS["reference"].panoptic)
    painted = np.zeros(SIZE, dtype=np.int32)
    claimed = np.asarray(stuff.masks.any(axis=0))
    order = sorted(
        range(len(things.scores)),
        key=lambda i: (
            -things.scores[i],
            -things.masks[i].sum(),
            *things.boxes_xyxy[i],
            things.category_ids[i],
        ),
    )
    for index in order:
        painted[things.masks[index]] = things.category_ids[index]
    category_of = np.zeros(len(result.segments_info) + 1, dtype=np.int32)
    for segment in result.segments_info:
        category_of[segment.id] = segment.category_id
    categories = category_of[result.label_map]
    thing = painted > 0
    np.testing.assert_array_equal(categories[thing], painted[thing])
    np.testing.assert_array_equal(categories[~thing] > 0, claimed[~thing])
