"""COCO-panoptic data sets: scenes exported and read back, and files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeropan.errors import BadInput
from zeropan.evaluation.coco_dataset import open_coco_dataset, prompt_of
from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import TruthSegment
from zeropan.scenes.export import export_scenes
from zeropan.scenes.render import render_scene
from zeropan.scenes.truth import panoptic_of
from zeropan.scenes.vocabulary import STUFF, THINGS
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Int32


def write_dataset(folder: Path, label_map: Int32, **changes: Any) -> Path:
    """One image of two things and a crowd, ids 1, 300 and 70000, COCO-like category ids."""
    content = {
        "images": [{"id": 9, "file_name": "nine.jpg", "height": 4, "width": 6}],
        "annotations": [
            {
                "image_id": 9,
                "file_name": "nine.png",
                "segments_info": [
                    {"id": 1, "category_id": 200, "iscrowd": 0, "area": 6},
                    {"id": 300, "category_id": 44, "iscrowd": 0, "area": 6},
                    {"id": 70000, "category_id": 44, "iscrowd": 1, "area": 6},
                ],
            }
        ],
        "categories": [
            {"id": 200, "name": "sky-other-merged", "isthing": 0, "supercategory": "sky"},
            {"id": 44, "name": "bottle", "isthing": 1, "supercategory": "kitchen"},
        ],
    } | changes
    (folder / "set").mkdir(parents=True)
    rgb = np.stack([label_map % 256, label_map // 256 % 256, label_map // 65536], axis=-1)
    Image.fromarray(rgb.astype(np.uint8)).save(folder / "set" / "nine.png")
    path = folder / "set.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def small_map() -> Int32:
    label_map = np.zeros((4, 6), np.int32)
    label_map[0], label_map[1], label_map[2] = 1, 300, 70000
    return label_map


def test_exported_scenes_are_read_back_as_they_were(tmp_path: Path) -> None:
    export_scenes(tmp_path / "set", [4, 9], height=64, width=96)
    data = open_coco_dataset(tmp_path / "set" / "annotations" / "panoptic.json")
    categories = Categories.from_words(THINGS, STUFF).canonical
    assert data.categories == categories
    assert data.file_names == ("scene-000004.png", "scene-000009.png")
    quality = PanopticQuality.of(categories)
    for number, seed in enumerate([4, 9]):
        scene = render_scene(seed, height=64, width=96)
        with Image.open(tmp_path / "set" / "images" / data.file_names[number]) as picture:
            assert np.array_equal(np.asarray(picture), scene.image)
        truth = data.truth(number)
        assert np.array_equal(truth.label_map, scene.label_map)
        quality.add(truth, panoptic_of(scene, categories))
    result = quality.result().all
    assert result is not None and result.pq == 1


def test_an_export_never_touches_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="is not empty; name a new folder"):
        export_scenes(tmp_path / "set", [1])
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "mine.txt"]


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def seeds():  # type: ignore[no-untyped-def]
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_scenes(tmp_path / "set", seeds(), height=32, width=32)
    assert list(tmp_path.iterdir()) == []


def test_ids_of_three_bytes_foreign_categories_and_crowds(tmp_path: Path) -> None:
    data = open_coco_dataset(write_dataset(tmp_path, small_map()))
    assert [c.name for c in data.categories.ordered] == ["bottle", "sky-other-merged"]
    assert data.categories.stuff[0].prompts == ("sky",)
    truth = data.truth(0)
    assert np.array_equal(truth.label_map, small_map())
    assert truth.segments == (
        TruthSegment(1, 2), TruthSegment(300, 1), TruthSegment(70000, 1, iscrowd=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sky-other-merged", "sky"),
        ("wall-brick", "wall brick"),
        ("door-stuff", "door"),
        ("playing field", "playing field"),
        ("traffic_light", "traffic light"),
        ("-other", "-other"),
    ],
)
def test_prompts_leave_out_qualifiers(name: str, words: str) -> None:
    assert prompt_of(name) == words


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"categories": [{"id": 1, "name": "cup"}]}, "categories.0.isthing"),
        ({"annotations": []}, "has no annotated image"),
        ({"images": []}, "an annotation of image 9"),
        ({"categories": [{"id": 44, "name": "cup", "isthing": 1}]}, "category 200"),
    ],
)
def test_a_json_that_is_no_panoptic_data_set(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput) as error:
        open_coco_dataset(write_dataset(tmp_path, small_map(), **changes))
    assert sentence in str(error.value)
    assert "set.json" in str(error.value)


def test_files_that_do_not_fit_each_other(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "a", small_map()[:, :5])
    with pytest.raises(BadInput, match=r"nine.png has 5x4 pixels, but .* says 6x4"):
        open_coco_dataset(path).truth(0)
    other = small_map()
    other[2, 3] = 5
    path = write_dataset(tmp_path / "b", other)
    with pytest.raises(BadInput, match=r"segment 5 of .*nine.png is only in the PNG"):
        open_coco_dataset(path).truth(0)
    png = path.parent / "set" / "nine.png"
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(png)
    with pytest.raises(BadInput, match="its mode is L, not RGB"):
        open_coco_dataset(path).truth(0)
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(BadInput, match="cannot be read as a PNG"):
        open_coco_dataset(path).truth(0)
    png.unlink()
    with pytest.raises(BadInput, match=r"nine.png does not exist"):
        open_coco_dataset(path).truth(0)
    png.parent.rmdir()
    with pytest.raises(BadInput, match="name it with --panoptic"):
        open_coco_dataset(path)


def test_a_file_that_is_missing_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        open_coco_dataset(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read as JSON"):
        open_coco_dataset(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(BadInput, match="no COCO-panoptic data set"):
        open_coco_dataset(tmp_path / "list.json")
