"""Ground truth from a data set in COCO's panoptic format.

Format: https://cocodataset.org/#format-data, "Panoptic Segmentation": one JSON file with images,
annotations and categories, and a folder with one PNG of segment ids for each annotation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ValidationError

from zeropan.errors import BadInput
from zeropan.evaluation.truth import GroundTruth, TruthSegment
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.coco_panoptic import ids_of
from zeropan.segmentation.records import Int32

_QUALIFIERS = re.compile(r"-(?:merged|other|stuff)\b")
"""What COCO's category names carry besides words: "sky-other-merged", "door-stuff"."""


class _Segment(BaseModel):
    id: int
    category_id: int
    iscrowd: bool = False


class _Image(BaseModel):
    id: int | str
    file_name: str
    height: int
    width: int


class _Annotation(BaseModel):
    image_id: int | str
    file_name: str
    segments_info: list[_Segment]


class _Category(BaseModel):
    id: int
    name: str
    isthing: bool


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class CocoDataset:
    """Images with their truth, in the order of the JSON's images; those without truth left out."""

    json_path: Path
    png_folder: Path
    categories: Categories
    file_names: tuple[str, ...]
    """The images' file names, below the folder of images."""
    _ids: Mapping[int, int]
    """Our category id for each of the file's."""
    _pairs: tuple[tuple[_Image, _Annotation], ...]

    def truth(self, number: int) -> GroundTruth:
        """The n-th image's truth; the PNG is read now.

        Raises:
            BadInput: the PNG is missing, unreadable, of another size, or does not fit the JSON.
        """
        image, annotation = self._pairs[number]
        path = self.png_folder / annotation.file_name
        label_map = _read_ids(path)
        if label_map.shape != (image.height, image.width):
            raise BadInput(
                f"{path} has {label_map.shape[1]}x{label_map.shape[0]} pixels, but "
                f"{self.json_path} says {image.width}x{image.height}; use files of one data set"
            )
        listed = {segment.id for segment in annotation.segments_info}
        present = set(np.unique(label_map).tolist()) - {0}
        if listed != present:
            odd = sorted(listed ^ present)[0]
            where = "only in the PNG" if odd in present else "only in the JSON"
            raise BadInput(
                f"segment {odd} of {path} is {where}, not in both it and {self.json_path}; "
                "use files of one data set"
            )
        return GroundTruth(
            label_map,
            tuple(
                TruthSegment(segment.id, self._ids[segment.category_id], segment.iscrowd)
                for segment in annotation.segments_info
            ),
        )


def open_coco_dataset(json_path: Path, png_folder: Path | None = None) -> CocoDataset:
    """Read the JSON of a panoptic data set.

    Args:
        json_path: the panoptic JSON.
        png_folder: the folder of its PNGs; by default that of the same name without ".json".

    Raises:
        BadInput: the JSON or the folder is missing, or the JSON is no panoptic data set.
    """
    folder = png_folder or json_path.with_suffix("")
    file = _read_file(json_path)
    if not folder.is_dir():
        raise BadInput(
            f"{folder}, the folder of panoptic PNGs of {json_path}, does not exist; "
            "name it with --panoptic"
        )
    images = {image.id: image for image in file.images}
    known = {category.id for category in file.categories}
    for annotation in file.annotations:
        if annotation.image_id not in images:
            raise BadInput(
                f"{json_path} has an annotation of image {annotation.image_id!r}, which is not "
                "among its images; repair the file"
            )
        for segment in annotation.segments_info:
            if segment.category_id not in known:
                raise BadInput(
                    f"{json_path}: segment {segment.id} of image {annotation.image_id!r} has "
                    f"category {segment.category_id}, which is not listed; repair the file"
                )
    by_image = {annotation.image_id: annotation for annotation in file.annotations}
    pairs = tuple((image, by_image[i]) for i, image in images.items() if i in by_image)
    if not pairs:
        raise BadInput(f"{json_path} has no annotated image; name another file")
    categories = categories_of(file.categories).canonical
    by_name = {c.name: i for i, c in enumerate(categories.ordered, start=1)}
    return CocoDataset(
        json_path=json_path,
        png_folder=folder,
        categories=categories,
        file_names=tuple(image.file_name for image, _ in pairs),
        _ids={category.id: by_name[_name(category)] for category in file.categories},
        _pairs=pairs,
    )


def categories_of(entries: list[_Category]) -> Categories:
    """Categories from a COCO list; qualifiers of COCO's own names are left out of the prompts.

    "sky-other-merged" is asked for as "sky", "wall-brick" as "wall brick".

    Raises:
        BadCategories: a name is given twice.
    """
    found = [
        Category(
            name=_name(entry),
            isthing=entry.isthing,
            prompts=(prompt_of(_name(entry)),),
        )
        for entry in entries
    ]
    return Categories.checked(
        [category for category in found if category.isthing],
        [category for category in found if not category.isthing],
    )


def prompt_of(name: str) -> str:
    """The words to ask for, from a COCO category's name."""
    return " ".join(_QUALIFIERS.sub("", name).replace("-", " ").replace("_", " ").split()) or name


def _name(category: _Category) -> str:
    return " ".join(category.name.split())


def _read_file(path: Path) -> _File:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; name a COCO-panoptic JSON file") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error})") from error
    try:
        return _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(
            f"{path} is no COCO-panoptic data set: {where}: {first['msg'].lower()}; it needs "
            "images, annotations with segments_info, and categories with isthing"
        ) from error


def _read_ids(path: Path) -> Int32:
    try:
        with Image.open(path) as file:
            if file.mode not in ("RGB", "RGBA"):
                raise BadInput(
                    f"{path} is no panoptic PNG: its mode is {file.mode}, not RGB; "
                    "name the folder of panoptic PNGs, not of semantic ones"
                )
            return ids_of(np.asarray(file.convert("RGB")))
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; get the whole data set") from error
    except (OSError, SyntaxError) as error:
        raise BadInput(f"{path} cannot be read as a PNG ({error}); get the file again") from error
