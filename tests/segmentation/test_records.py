"""Records refuse what does not fit, and say what they got."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest

from zeropan.errors import RecordError
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    Record,
    SegmentInfo,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    rounded,
)


def f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.float32)


def i32(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.int32)


def embedding() -> ImageEmbedding:
    return ImageEmbedding(f32(2, 3, 4), (30, 40), (60, 80))


def grounded() -> GroundedBoxes:
    return GroundedBoxes(f32(1, 5, 4), f32(1, 5, 3), i32(1, 3), ("cup",), (60, 80))


def logits() -> StuffLogits:
    return StuffLogits(f32(2, 3, 4), ("wood", "sky"), (60, 80))


def things() -> ThingMasks:
    return ThingMasks(f32(2, 4), np.zeros((2, 6, 8), dtype=np.bool_), f32(2), f32(2), i32(2))


def regions() -> StuffRegions:
    return StuffRegions(i32(6, 8), np.zeros((6, 8), dtype=np.float16))


def masks() -> StuffMasks:
    return StuffMasks(np.zeros((1, 6, 8), dtype=np.bool_), f32(1), i32(1), f32(7, 2), i32(7))


def panoptic() -> Panoptic:
    info = SegmentInfo(3, 1, True, 1, (1, 0, 1, 1), 0.5)
    return Panoptic(np.array([[0, 3]], dtype=np.int32), (info,))


MAKERS: list[Callable[[], Record]] = [
    embedding,
    grounded,
    logits,
    things,
    regions,
    masks,
    panoptic,
]
ARRAY_FIELDS = [
    pytest.param(make, field, id=f"{type(make()).__name__}.{field}")
    for make in MAKERS
    for field in type(make()).AXES
]


@pytest.mark.parametrize(("make", "field"), ARRAY_FIELDS)
def test_axes_name_every_array_field_and_axis(make: Callable[[], Any], field: str) -> None:
    record = make()
    arrays = {f.name for f in fields(record) if isinstance(getattr(record, f.name), np.ndarray)}
    assert arrays >= set(record.AXES)
    assert len(record.AXES[field]) == getattr(record, field).ndim


@pytest.mark.parametrize(("make", "field"), ARRAY_FIELDS)
def test_another_dtype_is_refused_by_name(make: Callable[[], Any], field: str) -> None:
    record = make()
    with pytest.raises(RecordError, match=f"^{field}: expected .* got .* complex128"):
        replace(record, **{field: getattr(record, field).astype(np.complex128)})


@pytest.mark.parametrize(("make", "field"), ARRAY_FIELDS)
def test_another_number_of_axes_is_refused_by_name(make: Callable[[], Any], field: str) -> None:
    record = make()
    with pytest.raises(RecordError, match=f"^{field}: expected"):
        replace(record, **{field: getattr(record, field)[None]})


@pytest.mark.parametrize(("make", "field"), ARRAY_FIELDS)
def test_a_list_is_no_array(make: Callable[[], Any], field: str) -> None:
    record = make()
    with pytest.raises(RecordError, match=f"^{field}: expected .* got list"):
        replace(record, **{field: getattr(record, field).tolist()})


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (things(), "scores", f32(3)),
        (things(), "boxes_xyxy", f32(2, 5)),
        (things(), "category_ids", i32(1)),
        (things(), "mask_quality", f32(3)),
        (masks(), "point_segment", i32(6)),
        (masks(), "scores", f32(2)),
        (regions(), "scores", np.zeros((6, 9), dtype=np.float16)),
        (grounded(), "token_scores", f32(1, 4, 3)),
        (grounded(), "token_prompt", i32(1, 2)),
        (grounded(), "token_prompt", np.ones((1, 3), dtype=np.int32)),
        (grounded(), "image_size", (0, 80)),
        (embedding(), "image_size", (60, 0)),
        (embedding(), "input_size", (30,)),
        (logits(), "image_size", (-1, 80)),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    record: Any, field: str, value: object
) -> None:
    with pytest.raises(RecordError, match=f"^{field}: expected"):
        replace(record, **{field: value})


def test_logits_have_one_plane_a_prompt() -> None:
    with pytest.raises(
        RecordError, match=r"^logits: expected \(1, n, n\) float32, got \(2, 3, 4\)"
    ):
        replace(logits(), prompts=("wood",))


@pytest.mark.parametrize(
    "infos",
    [
        (),
        (SegmentInfo(3, 1, True, 2, (1, 0, 1, 1), 0.5),),
        (SegmentInfo(2, 1, True, 1, (1, 0, 1, 1), 0.5),),
        (SegmentInfo(3, 1, True, 1, (1, 0, 1, 1), 0.5),) * 2,
    ],
)
def test_segments_info_must_describe_the_label_map(infos: tuple[SegmentInfo, ...]) -> None:
    with pytest.raises(RecordError, match=r"^segments_info: expected the label map's ids"):
        replace(panoptic(), segments_info=infos)


@pytest.mark.parametrize("make", MAKERS)
def test_records_and_their_arrays_are_frozen(make: Callable[[], Any]) -> None:
    record = make()
    field = next(iter(record.AXES))
    with pytest.raises(FrozenInstanceError):
        setattr(record, field, None)
    with pytest.raises(ValueError, match="read-only"):
        getattr(record, field)[...] = 0


def test_records_may_be_empty() -> None:
    assert GroundedBoxes(f32(0, 0, 4), f32(0, 0, 0), i32(0, 0), (), (1, 1)).prompts == ()
    assert StuffLogits(f32(0, 4, 4), (), (1, 1)).logits.size == 0
    empty = np.zeros((0, 1, 1), dtype=np.bool_)
    assert len(ThingMasks(f32(0, 4), empty, f32(0), f32(0), i32(0)).scores) == 0
    assert len(StuffMasks(empty, f32(0), i32(0), f32(0, 2), i32(0)).scores) == 0
    assert Panoptic(i32(1, 1), ()).segments_info == ()


def test_words_are_split_and_joined_again() -> None:
    record = logits()
    parts = record.split()
    assert [part.prompts for part in parts] == [("wood",), ("sky",)]
    joined = StuffLogits.joined(parts[::-1], (60, 80))
    assert joined.prompts == ("sky", "wood")
    np.testing.assert_array_equal(joined.logits, record.logits[::-1])
    assert StuffLogits.joined((), (60, 80)).logits.shape[0] == 0
    with pytest.raises(RecordError, match="join words of one image"):
        StuffLogits.joined(parts, (60, 81))


@pytest.mark.parametrize("make", MAKERS)
def test_rounding_leaves_what_half_precision_holds_and_is_done_once(
    make: Callable[[], Any],
) -> None:
    record = make()
    once = rounded(record)
    assert type(once) is type(record)
    for name in type(record).AXES:
        value = getattr(once, name)
        assert value.dtype == getattr(record, name).dtype
        if name in getattr(record, "HALF_PRECISION", ()):
            np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32))
        else:
            assert value is getattr(record, name)
        np.testing.assert_array_equal(getattr(rounded(once), name), value)


def test_a_field_beyond_half_precision_is_not_rounded() -> None:
    large = ImageEmbedding(np.full((1, 2, 2), 1e5 + 1 / 3, np.float32), (5, 6), (50, 60))
    np.testing.assert_array_equal(rounded(large).features, large.features)
