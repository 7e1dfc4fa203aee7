"""Step 2: coarse regions of stuff."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import StuffRegionsConfig
from zeropan.segmentation.records import Bool, StuffLogits, ThingMasks
from zeropan.segmentation.stuff_regions import find_stuff_regions, union_grown

WOOD_AND_SKY = Categories.from_words(["cup"], ["wood", "sky"])


def logits_of(values: ArrayLike, prompts: tuple[str, ...], size: tuple[int, int]) -> StuffLogits:
    return StuffLogits(np.array(values, dtype=np.float32), prompts, size)


def things_of(masks: ArrayLike, size: tuple[int, int]) -> ThingMasks:
    stack = np.array(masks, dtype=np.bool_).reshape(-1, *size)
    n = len(stack)
    zeros = np.zeros(n, dtype=np.float32)
    return ThingMasks(
        np.zeros((n, 4), dtype=np.float32), stack, zeros, zeros.copy(), np.ones(n, dtype=np.int32)
    )


def test_the_best_word_above_the_background_wins() -> None:
    logits = logits_of([[[3, -9, 0]], [[1, -9, 2]]], ("wood", "sky"), (1, 3))
    regions = find_stuff_regions(
        logits, things_of([], (1, 3)), WOOD_AND_SKY, StuffRegionsConfig(background_threshold=0.1)
    )
    assert regions.label_map.tolist() == [[2, 0, 3]]
    sigmoid = 1 / (1 + np.exp(-np.array([[3.0, np.inf, 2.0]])))
    assert regions.scores[0, [0, 2]] == pytest.approx(sigmoid[0, [0, 2]], abs=1e-3)
    assert regions.scores[0, 1] == 0


def test_a_category_scores_the_best_of_its_synonyms() -> None:
    categories = Categories.checked(
        [],
        [
            Category(name="wood", isthing=False, prompts=("wood", "planks")),
            Category(name="sky", isthing=False),
        ],
    )
    logits = logits_of([[[0, 0]], [[5, -5]], [[1, 1]]], ("wood", "planks", "sky"), (1, 2))
    regions = find_stuff_regions(logits, things_of([], (1, 2)), categories, StuffRegionsConfig())
    assert regions.label_map.tolist() == [[1, 2]]


def with_thresholds(wood: float | None, sky: float | None) -> Categories:
    return Categories.checked(
        [],
        [
            Category(name="wood", isthing=False, background_threshold=wood),
            Category(name="sky", isthing=False, background_threshold=sky),
        ],
    )


@pytest.mark.parametrize(
    ("wood", "sky", "expected"),
    [
        (None, None, [[1, 1, 0]]),
        # What does not reach its own threshold leaves the pixel to the next that does.
        (0.9, None, [[2, 1, 0]]),
        (0.9, 0.9, [[0, 1, 0]]),
        (None, 0.01, [[1, 1, 2]]),
        (1.0, None, [[2, 0, 0]]),
    ],
)
def test_a_stuff_category_may_have_a_threshold_of_its_own(
    wood: float | None, sky: float | None, expected: list[list[int]]
) -> None:
    logits = logits_of([[[1, 3, -9]], [[0, -3, -4]]], ("wood", "sky"), (1, 3))
    regions = find_stuff_regions(
        logits,
        things_of([], (1, 3)),
        with_thresholds(wood, sky),
        StuffRegionsConfig(background_threshold=0.5),
    )
    assert regions.label_map.tolist() == expected
    assert ((regions.scores > 0) == (regions.label_map > 0)).all()


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_own_thresholds_that_equal_the_common_one_change_nothing(seed: int, least: float) -> None:
    values = np.random.default_rng(seed).normal(scale=3, size=(2, 3, 4))
    logits = logits_of(values, ("wood", "sky"), (9, 7))
    # The own threshold of one word differs by less than any probability tells apart.
    near = with_thresholds(least, float(np.nextafter(least, 2)))
    plain, own = (
        find_stuff_regions(
            logits, things_of([], (9, 7)), words, StuffRegionsConfig(background_threshold=least)
        )
        for words in (with_thresholds(None, None), near)
    )
    np.testing.assert_array_equal(plain.label_map, own.label_map)
    np.testing.assert_array_equal(plain.scores, own.scores)


def test_equal_scores_go_to_the_first_word() -> None:
    logits = logits_of([[[1]], [[1]]], ("wood", "sky"), (1, 1))
    regions = find_stuff_regions(logits, things_of([], (1, 1)), WOOD_AND_SKY, StuffRegionsConfig())
    assert regions.label_map.tolist() == [[2]]


def test_things_are_taken_out_with_their_margin() -> None:
    size = (9, 9)
    mask = np.zeros(size, dtype=np.bool_)
    mask[4, 4] = True
    logits = logits_of([[[9]], [[0]]], ("wood", "sky"), size)
    for margin, missing in ((0, 1), (1, 5), (2, 13)):
        regions = find_stuff_regions(
            logits,
            things_of([mask], size),
            WOOD_AND_SKY,
            StuffRegionsConfig(thing_margin_px=margin),
        )
        assert (regions.label_map == 0).sum() == missing
        assert (regions.scores[regions.label_map == 0] == 0).all()


def test_a_margin_around_nothing_is_nothing() -> None:
    assert not union_grown(np.zeros((0, 3, 3), dtype=np.bool_), 5).any()
    assert union_grown(np.ones((1, 3, 3), dtype=np.bool_), 5).all()


def test_things_may_cover_everything() -> None:
    logits = logits_of([[[9]], [[0]]], ("wood", "sky"), (4, 4))
    things = things_of(np.ones((1, 4, 4)), (4, 4))
    regions = find_stuff_regions(logits, things, WOOD_AND_SKY, StuffRegionsConfig())
    assert not regions.label_map.any()


def test_no_words_give_no_regions() -> None:
    regions = find_stuff_regions(
        logits_of(np.zeros((0, 2, 2)), (), (3, 5)),
        things_of([], (3, 5)),
        Categories.from_words(["cup"], []),
        StuffRegionsConfig(background_threshold=0),
    )
    assert regions.label_map.shape == (3, 5)
    assert not regions.label_map.any()


def test_records_of_other_images_or_words_are_refused() -> None:
    logits = logits_of([[[9]], [[0]]], ("wood", "sky"), (4, 4))
    with pytest.raises(RecordError, match="score the image with the same categories"):
        find_stuff_regions(logits, things_of([], (4, 4)), Categories(), StuffRegionsConfig())
    with pytest.raises(RecordError, match="take things and stuff from the same image"):
        find_stuff_regions(logits, things_of([], (4, 5)), WOOD_AND_SKY, StuffRegionsConfig())


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1), (1, 40), (33, 7), (20, 30)]))
def test_agrees_with_the_proof_of_concept(seed: int, size: tuple[int, int]) -> None:
    """There, a plane full of the threshold competes with all planes, resized at once."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=3, size=(2, 5, 6)).astype(np.float32)
    thing: Bool = rng.random(size) < 0.3
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(values)[:, None], size=size, mode="bilinear"
    )[:, 0]
    planes = torch.cat([torch.full((1, *size), 0.1), torch.sigmoid(resized)])
    expected = planes.argmax(dim=0).numpy()
    expected[thing] = 0
    regions = find_stuff_regions(
        logits_of(values, ("wood", "sky"), size),
        things_of([thing], size),
        WOOD_AND_SKY,
        StuffRegionsConfig(background_threshold=0.1),
    )
    np.testing.assert_array_equal(regions.label_map, np.where(expected > 0, expected + 1, 0))
