import io
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zeropan.pictures.canvas import Canvas
from zeropan.pictures.fonts import spelled
from zeropan.pictures.palette import inferno, instance_colours, segment_colours
from zeropan.pictures.panels import PANELS, StepRecords, overlay, panels, side_by_side
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.coco_panoptic import coco_json, coco_png, coco_rgb, ids_of
from zeropan.segmentation.records import (
    GroundedBoxes,
    Panoptic,
    SegmentInfo,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
)
from zeropan.tracking.image_files import image_files
from zeropan.tracking.summary import description, metrics_of, run_name

CATEGORIES = Categories.from_words(["sushi", "卵 | egg"], ["wood", "sky"])


def scene(height: int = 60, width: int = 80) -> StepRecords:
    """Two things on wood; a strip at the top is unlabelled; the second thing was dropped."""
    rows, columns = np.indices((height, width))
    first = (rows - height / 2) ** 2 + (columns - width / 4) ** 2 < (height / 5) ** 2
    second = (rows - height / 2) ** 2 + (columns - 3 * width / 4) ** 2 < (height / 6) ** 2
    wood = (rows > height // 4) & ~first
    labels = np.where(first, 1, np.where(wood, 2, 0)).astype(np.int32)
    segments = (
        SegmentInfo(1, 1, True, int(first.sum()), (1, 2, 3, 4), 0.75),
        SegmentInfo(2, 3, False, int((labels == 2).sum()), (0, 0, width, height), 0.5),
    )
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (150, 110, 70)
    image[first] = (60, 120, 200)
    region = np.where(wood & ~second, 3, 0).astype(np.int32)
    boxes = np.array([[8, 18, 32, 42], [50, 20, 70, 40]], np.float32)
    return StepRecords(
        image=image,
        grounded=GroundedBoxes(
            boxes_xyxy=np.concatenate([boxes, [[1, 1, 20, 20]]])[None].astype(np.float32),
            token_scores=np.array([[[0.75], [0.5], [0.2]]], np.float32),
            token_prompt=np.zeros((1, 1), np.int32),
            prompts=CATEGORIES.thing_prompts,
            image_size=(height, width),
        ),
        stuff_logits=StuffLogits(
            np.linspace(-9, 9, 32, dtype=np.float32).reshape(2, 4, 4),
            CATEGORIES.stuff_prompts,
            (height, width),
        ),
        things=ThingMasks(
            boxes_xyxy=boxes,
            masks=np.stack([first, second]),
            scores=np.array([0.75, 0.5], np.float32),
            mask_quality=np.array([0.9, 0.8], np.float32),
            category_ids=np.array([1, 1], np.int32),
        ),
        regions=StuffRegions(region, np.where(region > 0, 0.5, 0).astype(np.float16)),
        stuff=StuffMasks(
            masks=wood[None],
            scores=np.array([0.5], np.float32),
            category_ids=np.array([3], np.int32),
            points_xy=np.array([[40, 50], [5, 55]], np.float32),
            point_segment=np.array([0, 0], np.int32),
        ),
        panoptic=Panoptic(labels, segments),
        categories=CATEGORIES,
    )


def empty(height: int, width: int, categories: Categories) -> StepRecords:
    blank = np.zeros((height, width), np.int32)
    none = np.zeros(0, np.float32)
    prompts = categories.stuff_prompts
    return StepRecords(
        image=np.full((height, width, 3), 99, np.uint8),
        grounded=GroundedBoxes(
            np.zeros((0, 0, 4), np.float32),
            np.zeros((0, 0, 0), np.float32),
            np.zeros((0, 0), np.int32),
            categories.thing_prompts,
            (height, width),
        ),
        stuff_logits=StuffLogits(
            np.zeros((len(prompts), 3, 3), np.float32), prompts, (height, width)
        ),
        things=ThingMasks(
            np.zeros((0, 4), np.float32),
            np.zeros((0, height, width), np.bool_),
            none,
            none,
            np.zeros(0, np.int32),
        ),
        regions=StuffRegions(blank, np.zeros((height, width), np.float16)),
        stuff=StuffMasks(
            np.zeros((0, height, width), np.bool_),
            none,
            np.zeros(0, np.int32),
            np.zeros((0, 2), np.float32),
            np.zeros(0, np.int32),
        ),
        panoptic=Panoptic(blank, ()),
        categories=categories,
    )


def test_panels_are_pictures_in_the_order_of_the_steps() -> None:
    drawn = panels(scene())
    assert tuple(drawn) == PANELS == tuple(sorted(PANELS))
    for picture in drawn.values():
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        assert max(picture.shape) >= 420


def test_drawing_twice_gives_the_same_pixels() -> None:
    one, other = panels(scene()), panels(scene())
    assert all(np.array_equal(one[key], other[key]) for key in PANELS)


def test_drawing_leaves_the_records_alone() -> None:
    steps = scene()
    before = steps.image.copy()
    panels(steps)
    assert np.array_equal(steps.image, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (700, 3)])
@pytest.mark.parametrize("words", [([], []), (["a"], []), ([], ["b"])])
def test_images_in_which_nothing_is_found(
    size: tuple[int, int], words: tuple[list[str], list[str]]
) -> None:
    drawn = panels(empty(*size, Categories.from_words(*words)))
    assert tuple(drawn) == PANELS


def test_the_overlay_paints_things_in_their_colour_and_dims_the_rest() -> None:
    steps = scene()
    picture = overlay(steps.image, steps.panoptic, steps.categories)
    scale = picture.shape[1] / 80
    colour = segment_colours(steps.panoptic, CATEGORIES)[1]
    # Off the tag in the middle of the disc, inside its contour.
    y, x = round(22 * scale), round(20 * scale)
    assert np.abs(picture[y, x].astype(int) - colour).max() < 90
    assert (
        np.abs(picture[y, x].astype(int) - colour).sum()
        < np.abs(steps.image[22, 20].astype(int) - colour).sum()
    )
    unlabelled = picture[round(5 * scale), round(40 * scale)].astype(int)
    assert unlabelled.mean() < steps.image[5, 40].mean()


def test_the_canvas_enlarges_small_images_and_reduces_large_ones() -> None:
    assert Canvas.for_size(256, 192).height == 768
    assert Canvas.for_size(3000, 4000).width == 1600
    same = Canvas.for_size(900, 1000)
    assert (same.height, same.width, same.scale) == (900, 1000, 1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([40, 64, 1700]))
def test_labels_stay_themselves_at_another_size(seed: int, longer: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 4, (4, 5), dtype=np.int32) * 1000
    labels = np.kron(coarse, np.ones((longer // 5, longer // 5), np.int32))
    canvas = Canvas.for_size(*labels.shape)
    drawn = canvas.labels(labels)
    assert drawn.shape == (canvas.height, canvas.width)
    rows = ((np.arange(4) + 0.5) * canvas.height / 4).astype(int)
    columns = ((np.arange(5) + 0.5) * canvas.width / 5).astype(int)
    assert np.array_equal(drawn[np.ix_(rows, columns)], coarse)


def test_a_line_of_one_pixel_survives_enlarging() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[:, 30] = True
    canvas = Canvas.for_size(64, 64)
    assert canvas.mask(mask).any(axis=1).all()


def test_instances_of_one_word_differ_in_colour() -> None:
    count = 24
    labels = np.arange(1, count + 1, dtype=np.int32)[None]
    segments = tuple(SegmentInfo(i + 1, 1, True, 1, (i, 0, 1, 1), 0.5) for i in range(count))
    words = Categories.from_words(["sushi"], ["wood"])
    colours = list(segment_colours(Panoptic(labels, segments), words).values())
    apart = min(
        np.abs(np.subtract(one, other)).sum() for one, other in combinations(colours[:12], 2)
    )
    assert len(set(colours)) == count and apart > 40


def test_an_instance_keeps_its_colour_from_step_one_to_the_overlay() -> None:
    steps = scene()
    first, second = instance_colours(steps.things, steps.panoptic, CATEGORIES)
    assert first == segment_colours(steps.panoptic, CATEGORIES)[1]
    assert second != first


def test_the_colour_scale_grows_lighter() -> None:
    scale = inferno(np.linspace(0, 1, 256, dtype=np.float32)).astype(int)
    light = scale @ (0.299, 0.587, 0.114)
    assert (np.diff(light) > -1).all() and light[-1] - light[0] > 200


def test_words_no_font_can_show_are_spelled_another_way() -> None:
    assert spelled("two  words", 14)[0] == "two words"
    assert spelled("\U0010fffd", 14, instead="category 3")[0] == "category 3"


def test_side_by_side_brings_pictures_to_one_width() -> None:
    small, large = np.zeros((10, 20, 3), np.uint8), np.full((300, 400, 3), 255, np.uint8)
    row = side_by_side([("image", small), ("result", large)])
    assert row.shape[0] > 300 and 800 < row.shape[1] < 900
    assert side_by_side([("wide", large)] * 10, most_width=1000).shape[1] <= 1014
    with pytest.raises(ValueError, match="at least one"):
        side_by_side([])


def test_image_files_have_the_names_the_grid_reads() -> None:
    files = image_files({"panels/00 input": np.zeros((300, 600, 3), np.uint8)}, step=4)
    full, thumbnail = sorted(files, key=len)
    assert full.startswith("panels~00 input+step+4+timestamp+") and full.endswith(".png")
    assert thumbnail == full.removesuffix(".png") + "+compressed.webp"
    assert Image.open(io.BytesIO(files[full])).size == (600, 300)
    assert Image.open(io.BytesIO(files[thumbnail])).size == (256, 128)


@given(st.lists(st.integers(0, 256**3 - 1), min_size=1, max_size=9, unique=True))
def test_coco_colours_hold_the_ids(ids: list[int]) -> None:
    labels = np.array([ids], np.int32)
    segments = tuple(SegmentInfo(i, 1, True, 1, (0, 0, 1, 1), 0.5) for i in sorted(ids) if i != 0)
    panoptic = Panoptic(labels, segments)
    assert np.array_equal(ids_of(coco_rgb(panoptic)), labels)


def test_coco_files_agree_with_each_other() -> None:
    panoptic = scene().panoptic
    decoded = ids_of(np.asarray(Image.open(io.BytesIO(coco_png(panoptic)))))
    about = coco_json(panoptic, CATEGORIES, image_id=7, file_name="sushi.jpg")
    annotation = about["annotations"][0]
    assert annotation["file_name"] == "sushi.png" and annotation["image_id"] == 7
    areas = {segment["id"]: segment["area"] for segment in annotation["segments_info"]}
    assert areas == {i: int((decoded == i).sum()) for i in np.unique(decoded).tolist() if i}
    assert [c["isthing"] for c in about["categories"]] == [1, 1, 0, 0]


def test_metrics_count_and_measure() -> None:
    panoptic = scene().panoptic
    metrics = metrics_of(panoptic, CATEGORIES)
    labelled = float((panoptic.label_map > 0).mean())
    assert metrics["count/things"] == metrics["count/sushi"] == metrics["count/stuff"] == 1
    assert metrics["coverage/total"] == pytest.approx(labelled)
    assert metrics["coverage/things"] + metrics["coverage/stuff"] == pytest.approx(labelled)
    assert metrics["score/things_mean"] == 0.75 and metrics["score/wood"] == 0.5
    assert metrics["count/sky"] == 0 and "score/sky" not in metrics


def test_a_category_cannot_overwrite_a_sum() -> None:
    words = Categories.from_words(["things", "total"], ["stuff"])
    metrics = metrics_of(Panoptic(np.ones((2, 2), np.int32), (
        SegmentInfo(1, 2, True, 4, (0, 0, 2, 2), 0.5),
    )), words)  # fmt: skip
    assert metrics["count/things"] == 1 and metrics["coverage/total"] == 1
    assert metrics["count/things_x_category"] == 0


def test_names_and_descriptions_say_image_and_change() -> None:
    assert run_name("sushi.jpg") == "sushi.jpg"
    changed = {"things.box_threshold": 0.3}
    assert run_name("sushi.jpg", changed) == "sushi.jpg · box_threshold 0.3"
    assert len(run_name("s" * 300)) == 120
    text = description(
        scene().panoptic, CATEGORIES, image="a|b.png", changed=changed, picture="/p.png"
    )
    assert "1 things, 1 stuff" in text and "`things.box_threshold = 0.3`" in text
    assert text.endswith("![overlay](/p.png)")
    # A bar in a word must not open another column.
    assert all(
        line.replace("\\|", "").count("|") == 6 for line in text.splitlines() if "egg" in line
    )
