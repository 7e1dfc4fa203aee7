"""Step 3: points from regions, and the segmenter's masks for them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.segmentation.plain_prompter import PlainPrompter, embed_plainly
from zeropan.errors import RecordError
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import METHODS, StuffMasksConfig
from zeropan.segmentation.records import Bool, Int32, StuffMasks, StuffRegions
from zeropan.segmentation.stuff_masks import agrees, make_rng, random_prompts, refine_stuff

WOOD_AND_SKY = Categories.from_words(["cup"], ["wood", "sky"])
WOOD, SKY = 2, 3
REFERENCE = METHODS["reference"].stuff_masks


def regions_of(label_map: Int32, score: float = 0.5) -> StuffRegions:
    labels = label_map.astype(np.int32)
    return StuffRegions(labels, np.where(labels > 0, score, 0).astype(np.float16))


def refine(
    regions: StuffRegions,
    areas: Int32,
    config: StuffMasksConfig | None = None,
    image_sha256: str = "key",
) -> StuffMasks:
    """Refine regions in an image whose even-coloured areas are numbered 0 to 255."""
    image = np.repeat(areas.astype(np.uint8)[:, :, None], 3, axis=2)
    return refine_stuff(
        regions,
        embed_plainly(image),
        WOOD_AND_SKY,
        config or StuffMasksConfig(),
        segmenter=PlainPrompter(),
        image_sha256=image_sha256,
    )


def halves(height: int = 60, width: int = 80) -> Int32:
    """Area 0 on the left, 1 on the right."""
    areas = np.zeros((height, width), dtype=np.int32)
    areas[:, width // 2 :] = 1
    return areas


def coarse(areas: Int32) -> Int32:
    """Wood on the left half's middle, sky on the right's."""
    labels = np.zeros_like(areas)
    labels[10:-10, 8:30] = WOOD
    labels[10:-10, 50:72] = SKY
    return labels


@pytest.mark.parametrize("config", [StuffMasksConfig(), REFERENCE])
def test_a_coarse_region_becomes_the_area_below_it(config: StuffMasksConfig) -> None:
    areas = halves()
    stuff = refine(regions_of(coarse(areas)), areas, config)
    assert stuff.category_ids.tolist() == [WOOD, SKY]
    for mask, area in zip(stuff.masks, (0, 1), strict=True):
        # The reference unites three outputs, of which the largest is grown by two pixels.
        assert mask[areas == area].all()
        assert mask[areas != area].sum() <= 2 * 60 * (config.multimask == "union")
    assert stuff.scores == pytest.approx(np.array([0.5, 0.5]))


def test_points_are_recorded_inside_their_own_region() -> None:
    areas = halves()
    labels = coarse(areas)
    stuff = refine(regions_of(labels), areas, StuffMasksConfig(points_per_region=5))
    assert np.bincount(stuff.point_segment).tolist() == [5, 5]
    columns, rows = np.floor(stuff.points_xy).astype(int).T
    assert (labels[rows, columns] == stuff.category_ids[stuff.point_segment]).all()


def test_every_large_enough_part_is_asked_for_on_its_own() -> None:
    areas = np.arange(4).repeat(20)[None].repeat(60, axis=0).astype(np.int32)
    labels = np.zeros_like(areas)
    labels[:, 2:18] = labels[:, 62:78] = WOOD
    labels[30, 50] = WOOD
    stuff = refine(
        regions_of(labels), areas, StuffMasksConfig(points_per_region=4, prompt_by="part")
    )
    np.testing.assert_array_equal(stuff.masks, np.isin(areas, (0, 3))[None])
    assert len(stuff.points_xy) == 8
    every = refine(
        regions_of(labels),
        areas,
        StuffMasksConfig(points_per_region=4, prompt_by="part", min_region_area=0, min_agreement=0),
    )
    np.testing.assert_array_equal(every.masks, np.isin(areas, (0, 2, 3))[None])


def test_a_whole_region_may_be_asked_for_at_once() -> None:
    areas = np.arange(4).repeat(20)[None].repeat(60, axis=0).astype(np.int32)
    labels = np.zeros_like(areas)
    labels[:, 2:18] = labels[:, 62:78] = WOOD
    labels[30, 50] = WOOD
    config = StuffMasksConfig(points_per_region=4, prompt_by="region")
    stuff = refine(regions_of(labels), areas, config)
    np.testing.assert_array_equal(stuff.masks, np.isin(areas, (0, 3))[None])
    assert len(stuff.points_xy) == 4
    labels[:] = 0
    labels[30, 50] = WOOD
    assert len(refine(regions_of(labels), areas, config).masks) == 0


def test_a_region_of_specks_has_no_mask() -> None:
    labels = np.zeros((60, 80), dtype=np.int32)
    labels[::5, ::5] = WOOD
    assert refine(regions_of(labels), halves()).masks.shape == (0, 60, 80)


ANY_ANSWER = {"majority": False, "min_agreement": 0}


def test_an_answer_on_other_regions_is_refused() -> None:
    areas = np.zeros((60, 80), dtype=np.int32)
    labels = np.full_like(areas, SKY)
    labels[20:40, 20:40] = WOOD
    regions = regions_of(labels)
    assert refine(regions, areas).category_ids.tolist() == [SKY]
    everything = refine(regions, areas, StuffMasksConfig().model_copy(update=ANY_ANSWER))
    assert everything.category_ids.tolist() == [WOOD, SKY]


def test_an_answer_agrees_if_most_of_it_is_its_own_and_enough() -> None:
    labels = np.array([[WOOD, WOOD, SKY, SKY, SKY, 0, 0, 0]], dtype=np.int32)
    whole: Bool = np.ones((1, 8), dtype=np.bool_)
    config = StuffMasksConfig(majority=True, min_agreement=0.25)
    assert not agrees(whole, labels, WOOD, config)
    assert agrees(whole, labels, SKY, config)
    assert agrees(whole, labels, WOOD, config.model_copy(update={"majority": False}))
    assert not agrees(whole, labels, SKY, config.model_copy(update={"min_agreement": 0.4}))
    assert agrees(labels != SKY, labels, WOOD, config)
    assert not agrees(~whole, labels, WOOD, config.model_copy(update=ANY_ANSWER))
    assert not agrees(labels == 0, labels, WOOD, config)


def test_negative_points_keep_an_answer_off_other_regions() -> None:
    # Two patches of one colour: the region holds both by mistake of a bridge between them.
    areas = np.zeros((60, 80), dtype=np.int32)
    areas[:, 38:42] = 1
    labels = np.zeros_like(areas)
    labels[10:50, 5:60] = WOOD
    labels[5:55, 62:78] = SKY
    config = StuffMasksConfig().model_copy(update=ANY_ANSWER)
    plain = refine(regions_of(labels), areas, config)
    assert plain.masks[0][labels == SKY].all()
    kept_off = refine(regions_of(labels), areas, config.model_copy(update={"negative_points": 3}))
    assert not kept_off.masks[0][labels == SKY].any()
    assert kept_off.masks[0][:, :38].all()
    assert (kept_off.point_segment == 0).sum() == config.points_per_region


def test_three_outputs_are_united_or_the_best_is_taken() -> None:
    areas = halves()
    labels = np.where(coarse(areas) == WOOD, WOOD, 0)
    widths = {
        multimask: refine(regions_of(labels), areas, StuffMasksConfig(multimask=multimask))
        .masks[0][0]
        .sum()
        for multimask in ("single", "best", "union")
    }
    assert widths == {"single": 40, "best": 40, "union": 42}


def test_the_largest_region_gets_all_points_and_others_fewer() -> None:
    labels = np.zeros((40, 60), dtype=np.int32)
    labels[:, :40] = WOOD
    labels[:, 50:] = SKY
    config = StuffMasksConfig(sampling="score", points_per_region=100, erosion=0, min_region_area=0)
    prompts = list(random_prompts(regions_of(labels), config, rng_of=np.random.default_rng))
    assert [(prompt.category_id, len(prompt.points_xy)) for prompt in prompts] == [
        (WOOD, 100),
        (SKY, 25),
    ]


def test_the_reference_erodes_by_twenty_pixels_and_asks_for_no_vanished_region() -> None:
    labels = np.zeros((80, 100), dtype=np.int32)
    labels[:, :60] = WOOD
    labels[:, 81:] = SKY
    (prompt,) = random_prompts(regions_of(labels), REFERENCE, rng_of=np.random.default_rng)
    assert (prompt.category_id, len(prompt.points_xy)) == (WOOD, 1000)
    assert prompt.points_xy.min() >= 10
    assert prompt.points_xy[:, 0].max() <= 60 - 9
    assert prompt.points_xy[:, 1].max() <= 80 - 9


def test_random_points_follow_the_seed_and_its_material() -> None:
    areas = halves()
    regions = regions_of(coarse(areas))
    config = StuffMasksConfig(sampling="score")
    again = [refine(regions, areas, config).points_xy for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])
    other_key = refine(regions, areas, config, image_sha256="another").points_xy
    other_seed = refine(regions, areas, config.model_copy(update={"seed": 1})).points_xy
    assert not np.array_equal(again[0], other_key)
    assert not np.array_equal(again[0], other_seed)


def test_random_points_of_a_word_do_not_depend_on_the_other_words() -> None:
    areas = halves()
    config = StuffMasksConfig(sampling="score")
    alone = refine(regions_of(np.where(coarse(areas) == SKY, SKY, 0)), areas, config)
    both = refine(regions_of(coarse(areas)), areas, config)
    place = both.category_ids.tolist().index(SKY)
    drawn = both.points_xy[both.point_segment == place]
    np.testing.assert_array_equal(drawn[: len(alone.points_xy)], alone.points_xy[: len(drawn)])


def test_spread_points_do_not_depend_on_the_seed() -> None:
    areas = halves()
    first, second = (
        refine(regions_of(coarse(areas)), areas, image_sha256=name).points_xy for name in "ab"
    )
    np.testing.assert_array_equal(first, second)


def test_the_generator_is_the_same_for_ever() -> None:
    # A change here changes stored results: raise the stage's algorithm version with it.
    assert make_rng(0, "key", ("wood",)).integers(0, 1000, 4).tolist() == [113, 851, 749, 65]


@pytest.mark.parametrize("config", [StuffMasksConfig(), REFERENCE])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (400, 3)])
def test_any_size_and_no_region_at_all(config: StuffMasksConfig, size: tuple[int, int]) -> None:
    areas = np.zeros(size, dtype=np.int32)
    for labels in (areas, np.full_like(areas, WOOD)):
        stuff = refine(regions_of(labels), areas, config)
        assert stuff.masks.shape[1:] == size
        if config.sampling == "spread":
            assert len(stuff.masks) == int(labels.any())


def test_other_images_and_other_categories_are_refused() -> None:
    areas = halves()
    with pytest.raises(RecordError, match="find the regions in the image that was embedded"):
        refine(regions_of(areas[:5]), areas)
    with pytest.raises(RecordError, match=r"expected ids of stuff, 2 to 3, got \[1\]"):
        refine(regions_of(areas), areas)
