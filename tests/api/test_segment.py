"""The Python API on true inference: what goes in, what comes out, and nothing done twice."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zeropan
from zeropan.errors import BadCategories, BadConfig, BadImage, WeightsMissing
from zeropan.models.presets import BUNDLED
from zeropan.models.sam.adapter import SamSegmenter
from zeropan.scenes.render import render_scene
from zeropan.segmentation.coco_panoptic import ids_of

THINGS = ["nigiri", "cup", {"name": "mug or bowl", "prompts": ["bowl"], "box_threshold": 0.4}]
STUFF = ["wood", "cloth", "marble"]
PIXELS = render_scene(1001).image
STEPS = ("things", "stuff_regions", "stuff_masks", "panoptic")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "my table.png"
    Image.fromarray(PIXELS).save(path)
    return path


@pytest.fixture(scope="module")
def result(file: Path) -> zeropan.Result:
    return zeropan.segment(file, THINGS, STUFF)


def test_every_kind_of_image_gives_the_same(file: Path, result: zeropan.Result) -> None:
    for given in (str(file), file.read_bytes(), PIXELS, Image.fromarray(PIXELS), Image.open(file)):
        found = zeropan.segment(given, THINGS, STUFF)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.label_map, result.label_map)
        assert found.segments == result.segments
        np.testing.assert_array_equal(found.image, PIXELS)


def test_the_result_says_what_is_where(result: zeropan.Result) -> None:
    assert result.label_map.shape == PIXELS.shape[:2]
    assert result.label_map.dtype == np.int32
    assert result.categories == ("nigiri", "cup", "mug or bowl", "wood", "cloth", "marble")
    assert {one.category for one in result.segments} >= {"cup", "wood"}
    assert result.name == "my table"
    for one in result.segments:
        mask = result.label_map == one.id
        rows, columns = np.nonzero(mask)
        assert one.area == mask.sum()
        assert one.box == (
            columns.min(), rows.min(), columns.max() + 1, rows.max() + 1,
        )  # fmt: skip
        assert 0 < one.score <= 1
        assert one.is_thing == (one.category in ("nigiri", "cup", "mug or bowl"))


def test_a_notebook_shows_it_and_a_line_tells_it(result: zeropan.Result) -> None:
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.size == result.overlay().size
    assert repr(result).startswith("<zeropan.Result of my table, 256x256: ")


def test_saved_files_hold_the_result(result: zeropan.Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "a" / "b")
    assert sorted(path.name for path in folder.iterdir()) == [
        "overlay.png", "panoptic.json", "panoptic.png",
    ]  # fmt: skip
    with Image.open(folder / "panoptic.png") as png:
        np.testing.assert_array_equal(ids_of(np.asarray(png)), result.label_map)
    about = json.loads((folder / "panoptic.json").read_text())
    assert about["annotations"][0]["file_name"] == "panoptic.png"
    names = {one["id"]: one["name"] for one in about["categories"]}
    assert [names[one["category_id"]] for one in about["annotations"][0]["segments_info"]] == [
        one.category for one in result.segments
    ]


def test_coco_has_the_same_segments(result: zeropan.Result) -> None:
    about = result.to_coco(image_id=7, file_name="x.jpg")
    assert about["images"] == [{"id": 7, "file_name": "x.jpg", "height": 256, "width": 256}]
    assert [one["id"] for one in about["annotations"][0]["segments_info"]] == [
        one.id for one in result.segments
    ]


def test_supervision_has_the_same_segments(result: zeropan.Result) -> None:
    found = result.to_supervision()
    assert len(found) == len(result.segments)
    np.testing.assert_array_equal(found.mask.sum(axis=(1, 2)), [s.area for s in result.segments])
    assert [result.categories[number] for number in found.class_id] == [
        one.category for one in result.segments
    ]
    nothing = zeropan.segment(np.zeros((20, 30, 3), np.uint8), ["cup"]).to_supervision()
    assert len(nothing) == 0


def test_a_rerun_computes_no_perception(
    result: zeropan.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a backbone ran")

    monkeypatch.setattr(SamSegmenter, "embed", refused)
    fewer = result.rerun(things={"box_threshold": 0.9}, panoptic={"min_stuff_area": 0.2})
    assert fewer.computed == STEPS
    assert len(fewer.segments) < len(result.segments)
    again = fewer.rerun(things={"box_threshold": 0.3}, panoptic={"min_stuff_area": 0.005})
    assert again.computed == ()
    np.testing.assert_array_equal(again.label_map, result.label_map)


def test_the_order_and_the_names_of_words_change_nothing(result: zeropan.Result) -> None:
    things = [
        {"name": "bowl", "box_threshold": 0.4},
        "cup",
        {"name": "sushi", "prompts": ["nigiri"]},
    ]
    turned = zeropan.segment(PIXELS, things, STUFF[::-1])
    np.testing.assert_array_equal(turned.label_map, result.label_map)
    names = {"bowl": "mug or bowl", "sushi": "nigiri"}
    assert [names.get(one.category, one.category) for one in turned.segments] == [
        one.category for one in result.segments
    ]


def test_many_images_give_a_result_each_and_are_checked_at_once(file: Path) -> None:
    found = zeropan.segment_many([file, PIXELS[:100]], "cup", "wood, cloth")
    assert [one.label_map.shape for one in found] == [(256, 256), (100, 256)]
    with pytest.raises(BadConfig, match="method"):
        zeropan.segment_many([], "cup", method="other")  # type: ignore[arg-type]


def test_config_may_be_whole_or_a_part() -> None:
    part = zeropan.segment(PIXELS, "cup", config={"things": {"box_threshold": 0.95}})
    assert part.segments == ()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.jpg", "does not exist"),
        (b"", "is empty"),
        (b"no image", "is not an image"),
        (np.zeros((3, 3), np.uint8), r"expected \(H, W, 3\) uint8, got \(3, 3\) uint8"),
        (np.zeros((3, 3, 3), np.float32), r"got \(3, 3, 3\) float32; convert it"),
        (np.zeros((), np.uint8), r"expected \(H, W, 3\) uint8"),
        (7, "got int"),
        (np.zeros((3, 4, 3), np.uint8), "more than the limit of 10"),
    ],
)
def test_what_is_no_image_is_one_sentence(image: object, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        zeropan.segment(image, "cup", max_pixels=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, BadCategories, "no word"),
        ({"things": ["cup", "Cup"]}, BadCategories, "twice"),
        ({"things": [{"prompts": ["cup"]}]}, BadCategories, "name"),
        ({"things": [{"name": "cup", "background_threshold": 0.2}]}, BadCategories, "only"),
        ({"things": "cup", "preset": "small"}, BadConfig, "preset"),
        ({"things": "cup", "device": "cuda:99x"}, BadConfig, "device"),
        ({"things": "cup", "precision": "fp8"}, BadConfig, "precision"),
        ({"things": "cup", "config": {"boxes": {}}}, BadConfig, "step 'boxes'"),
        ({"things": "cup", "config": {"things": {"box": 1}}}, BadConfig, "things.box"),
        ({"things": "cup", "config": {"things": {"box_threshold": 2}}}, BadConfig, "less than"),
        ({"things": "cup", "config": {"things": 2}}, BadConfig, "got int"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        zeropan.segment(PIXELS, **arguments)  # type: ignore[arg-type]


def test_a_preset_without_its_files_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROPAN_MODELS", str(tmp_path))
    with pytest.raises(WeightsMissing, match="zeropan models pull base"):
        zeropan.segment(PIXELS, "cup", preset="base")
    assert BUNDLED.is_dir()
