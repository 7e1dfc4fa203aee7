"""Grids of parameter values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropan.errors import BadConfig
from zeropan.request.grid import digest_of, parse_grid, points
from zeropan.segmentation.config import PipelineConfig

BASE = PipelineConfig()


def test_values_of_every_kind() -> None:
    axes = parse_grid(
        [
            "things.box_threshold=0.2, 0.3,0.3",
            "panoptic.fill=[none,region]",
            "stuff_masks.majority=true",
        ]
    )
    assert axes == {
        "things.box_threshold": [0.2, 0.3],
        "panoptic.fill": ["none", "region"],
        "stuff_masks.majority": [True],
    }
    found = points(BASE, axes)
    assert [point.name for point in found] == [
        "box_threshold 0.2 · fill none · majority True",
        "box_threshold 0.2 · fill region · majority True",
        "box_threshold 0.3 · fill none · majority True",
        "box_threshold 0.3 · fill region · majority True",
    ]
    assert found[1].config.panoptic.fill == "region"
    assert found[1].config.stuff_masks.majority
    assert found[0].config.stuff_regions == BASE.stuff_regions


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_the_points_are_the_product_and_differ(sizes: list[int]) -> None:
    fields = ["things.max_boxes", "stuff_masks.seed", "stuff_masks.points_per_region",
              "stuff_regions.thing_margin_px"]  # fmt: skip
    axes = {field: list(range(1, size + 1)) for field, size in zip(fields, sizes, strict=False)}
    if math.prod(sizes) > 1000:
        with pytest.raises(BadConfig, match="more than 1000; leave values out"):
            points(BASE, axes)
        return
    found = points(BASE, axes)
    assert len({point.digest for point in found}) == math.prod(sizes) == len(found)
    assert digest_of(found, {"images": []}) != digest_of(found, {"images": ["a"]})
    if len(found) > 1:
        assert digest_of(found, {}) != digest_of(found[1:], {})


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "the grid is empty"),
        (["things.box_threshold="], "names no value; write things.box_threshold=value,value"),
        (["things.box_threshold=0.1", "things.box_threshold=0.2"], "is given twice"),
        (["things.box_treshold=0.1"], "did you mean 'things.box_threshold'"),
        (["0.1,0.2"], "is not a setting"),
    ],
)
def test_mistakes(texts: list[str], sentence: str) -> None:
    with pytest.raises(BadConfig, match=sentence):
        parse_grid(texts)


def test_a_value_out_of_range() -> None:
    with pytest.raises(BadConfig, match=r"things.box_threshold=7 is not possible"):
        points(BASE, parse_grid(["things.box_threshold=0.5,7"]))
