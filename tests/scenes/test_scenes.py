"""Rendered scenes: determinism, exact ground truth, sizes, held-out pairs, and the disk cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.scene_cache import load_or_render, open_cache
from zeropan.choices import Pairs
from zeropan.scenes import HELD_OUT_SEEDS, TRAINING_SEED_START, Scene, render_scene
from zeropan.scenes.scene import bounding_box
from zeropan.scenes.vocabulary import (
    COLOURED_THINGS,
    COLOURS,
    HELD_OUT_PAIRS,
    STUFF,
    THINGS,
    allowed_colours,
    category_id,
)

_SIDE = 96


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, height=_SIDE, width=_SIDE) for seed in range(40)]


def test_same_seed_gives_same_bytes() -> None:
    first, second = (render_scene(7, height=_SIDE, width=_SIDE) for _ in range(2))
    other = render_scene(8, height=_SIDE, width=_SIDE)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.label_map.tobytes() == second.label_map.tobytes()
    assert first.segments == second.segments
    assert first.image.tobytes() != other.image.tobytes()


def test_segments_partition_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes:
        masks = scene.masks()
        assert masks.dtype == np.bool_
        assert masks.shape == (len(scene.segments), _SIDE, _SIDE)
        np.testing.assert_array_equal(masks.sum(axis=0), 1)
        assert scene.label_map.min() >= 1
        assert len({s.id for s in scene.segments}) == len(scene.segments)


def test_segments_tell_area_and_box_of_what_is_visible(scenes: list[Scene]) -> None:
    for scene in scenes:
        for segment in scene.segments:
            mask = scene.mask(segment.id)
            assert segment.area == mask.sum()
            assert segment.area >= 0.001 * mask.size
            assert segment.bbox_xyxy == bounding_box(mask)


def test_names_and_phrases(scenes: list[Scene]) -> None:
    for scene in scenes:
        stuff = [s.name for s in scene.segments if not s.isthing]
        things = [s for s in scene.segments if s.isthing]
        assert len(stuff) == len(set(stuff)) >= 1
        assert set(stuff) <= set(STUFF)
        assert 2 <= len(things) <= 9
        for segment in scene.segments:
            assert (segment.colour is not None) == (segment.name in COLOURED_THINGS)
            expected = f"{segment.colour} {segment.name}" if segment.colour else segment.name
            assert segment.phrase == expected
        assert all(s.name in THINGS for s in things)


def test_every_name_occurs(scenes: list[Scene]) -> None:
    assert {s.name for scene in scenes for s in scene.segments} == {*THINGS, *STUFF}


def test_pictures_have_contrast(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.image.std() > 10


@pytest.mark.parametrize(
    ("height", "width"), [(96, 144), (160, 96), (97, 131), (32, 32), (64, 300)]
)
def test_any_size(height: int, width: int) -> None:
    for seed in range(3):
        scene = render_scene(seed, height=height, width=width)
        assert scene.image.shape == (height, width, 3)
        assert scene.label_map.shape == (height, width)
        assert scene.label_map.dtype == np.int32
        assert sum(s.area for s in scene.segments) == height * width


def test_layout_does_not_depend_on_resolution() -> None:
    small = render_scene(11, height=96, width=96)
    large = render_scene(11, height=192, width=192)
    assert [s.phrase for s in small.segments] == [s.phrase for s in large.segments]
    agree = (large.label_map[::2, ::2] == small.label_map).mean()
    assert agree > 0.95


@pytest.mark.parametrize("pairs", ["train", "held_out"])
def test_held_out_pairs(pairs: Pairs) -> None:
    seen = set()
    for seed in range(40):
        scene = render_scene(seed, height=48, width=48, pairs=pairs)
        seen |= {(s.colour, s.name) for s in scene.segments if s.colour is not None}
    assert seen
    if pairs == "train":
        assert not seen & HELD_OUT_PAIRS
    else:
        assert seen == HELD_OUT_PAIRS


def test_held_out_parts_are_each_trained() -> None:
    for colour, name in HELD_OUT_PAIRS:
        assert colour in COLOURS
        assert name in COLOURED_THINGS
        assert allowed_colours(name, "train")
        assert any(colour in allowed_colours(other, "train") for other in COLOURED_THINGS)


def test_category_ids_are_consecutive() -> None:
    assert [category_id(name) for name in (*THINGS, *STUFF)] == list(range(1, 18))
    with pytest.raises(ValueError, match="unknown category"):
        category_id("fork")


def test_seeds_of_training_and_evaluation_do_not_meet() -> None:
    assert HELD_OUT_SEEDS.stop < TRAINING_SEED_START


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="at least"):
        render_scene(0, height=8, width=256)
    with pytest.raises(ValueError, match="pairs"):
        render_scene(0, pairs="none")  # type: ignore[arg-type]


def test_cache_matches_renderer_and_is_reopened(tmp_path: Path) -> None:
    made = load_or_render(tmp_path, seed_start=50, count=3, size=48, workers=1)
    again = open_cache(tmp_path)
    scene = render_scene(51, height=48, width=48, pairs="train")
    for cache in (made, again):
        assert len(cache) == 3
        np.testing.assert_array_equal(cache.images[1], scene.image)
        np.testing.assert_array_equal(cache.labels[1], scene.label_map)
        assert [s["phrase"] for s in cache.segments[1]] == [s.phrase for s in scene.segments]
        assert [tuple(s["bbox_xyxy"]) for s in cache.segments[1]] == [
            s.bbox_xyxy for s in scene.segments
        ]
    assert not (tmp_path / "shards").exists()
    with pytest.raises(ValueError, match="other settings"):
        load_or_render(tmp_path, seed_start=51, count=3, size=48, workers=1)
