"""What the Python API gives back: one image's label map, its segments, and what to do with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeropan.errors import StoreError
from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import png_bytes
from zeropan.pictures.overlay import overlay
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.coco_panoptic import coco_json, coco_png
from zeropan.segmentation.records import Int32, Panoptic, UInt8

Changes = Mapping[str, Any] | None


@dataclass(frozen=True)
class Segment:
    """One segment of a label map."""

    id: int
    """The value of its pixels in the label map; at least 1."""
    category: str
    """The name of its word."""
    is_thing: bool
    """Whether it is one countable object, rather than a surface or material."""
    score: float
    """In [0, 1]: the detector's score of a thing, the mean probability of stuff."""
    area: int
    """Pixels."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1: the tight box in pixels; x1 and y1 are the first column and row beyond it."""


class Result:
    """One image, segmented. A notebook shows it as a picture.

    Attributes:
        label_map: int32 (H, W), read-only: each pixel's segment id, 0 where nothing is labelled.
        segments: every segment, by id; things come first, best score first.
        categories: the names that were asked for, things first, in the order in which they were
            given.
        name: what the image is called.
        computed: the stages that were computed for this result; the others were known.
    """

    def __init__(
        self,
        panoptic: Panoptic,
        categories: Categories,
        *,
        name: str,
        computed: tuple[str, ...],
        image: Callable[[], UInt8],
        rerun: Callable[[Mapping[str, Mapping[str, Any]]], Result],
    ) -> None:
        self._panoptic, self._words = panoptic, categories.canonical
        self._image, self._rerun = image, rerun
        self.label_map: Int32 = panoptic.label_map
        self.segments: tuple[Segment, ...] = tuple(
            Segment(
                id=one.id,
                category=self._words.by_id(one.category_id).name,
                is_thing=one.isthing,
                score=one.score,
                area=one.area,
                box=(x, y, x + width, y + height),
            )
            for one in panoptic.segments_info
            for x, y, width, height in [one.bbox_xywh]
        )
        self.categories: tuple[str, ...] = tuple(one.name for one in categories.ordered)
        self.name = name
        self.computed = computed

    @property
    def image(self) -> UInt8:
        """The image as it was segmented: uint8 (H, W, 3), RGB, upright.

        Raises:
            BadImage: it has to be decoded again, and its file is damaged.
        """
        return self._image()

    def overlay(self) -> Image.Image:
        """The segments over the image, with names, scores and a legend; an RGB picture.

        The longer side of the image's part is between 768 and 1600 pixels.
        """
        return Image.fromarray(overlay(self.image, self._panoptic, self._words))

    def to_coco(self, *, image_id: int | str = 1, file_name: str | None = None) -> dict[str, Any]:
        """COCO's panoptic JSON of this one image: images, annotations and categories.

        Boxes are x, y, width, height; the ids are those of `label_map`, which as a PNG of
        R + 256 G + 256² B is the other half of the format: `save` writes both.

        Args:
            image_id: the image's id in a data set.
            file_name: the image's file name; by default from `name`.
        """
        return coco_json(
            self._panoptic,
            self._words,
            image_id=image_id,
            file_name=file_name or f"{self.name}.png",
        )

    def to_supervision(self) -> Any:
        """The segments as `supervision.Detections`, in the order of `segments`.

        `xyxy` is float32 (N, 4), `mask` bool (N, H, W), `confidence` float32 (N,), and `class_id`
        int64 (N,) the place of a segment's word in `categories`. Versions that have `data` get
        the names in data["class_name"].

        Raises:
            ImportError: the package supervision is not installed.
        """
        import supervision

        found = self.segments
        ids = np.array([one.id for one in found], dtype=np.int32)
        content: dict[str, Any] = {
            "xyxy": np.array([one.box for one in found], dtype=np.float32).reshape(-1, 4),
            "mask": self.label_map[None] == ids[:, None, None],
            "confidence": np.array([one.score for one in found], dtype=np.float32),
            "class_id": np.array([self.categories.index(one.category) for one in found], np.int64),
        }
        if "data" in getattr(supervision.Detections, "__dataclass_fields__", {}):
            content["data"] = {"class_name": np.array([one.category for one in found], dtype=str)}
        return supervision.Detections(**content)

    def save(self, folder: str | Path) -> Path:
        """Write overlay.png, panoptic.png and panoptic.json into a folder, which is made.

        The files are those that the command writes; each is there whole or not at all.

        Returns:
            The folder.

        Raises:
            StoreError: the folder cannot be written to.
        """
        target = Path(folder).expanduser()
        description = self.to_coco()
        description["annotations"][0]["file_name"] = "panoptic.png"
        try:
            target.mkdir(parents=True, exist_ok=True)
            write_whole(target / "overlay.png", self._repr_png_())
            write_whole(target / "panoptic.png", coco_png(self._panoptic))
            text = json.dumps(description, ensure_ascii=False, indent=1)
            write_whole(target / "panoptic.json", text.encode())
        except OSError as error:
            raise StoreError(
                f"the folder {target} cannot be written to: {error.strerror or error}; "
                "check the place and its free space"
            ) from error
        return target

    def rerun(
        self,
        *,
        things: Changes = None,
        stuff_regions: Changes = None,
        stuff_masks: Changes = None,
        panoptic: Changes = None,
    ) -> Result:
        """The same image and words with other parameters; no backbone runs.

        Args:
            things: parameters of step 1 that change, such as {"box_threshold": 0.5}.
            stuff_regions: those of step 2.
            stuff_masks: those of step 3.
            panoptic: those of step 4.

        Raises:
            BadConfig: a parameter is unknown or out of range.
        """
        given = {
            "things": things,
            "stuff_regions": stuff_regions,
            "stuff_masks": stuff_masks,
            "panoptic": panoptic,
        }
        return self._rerun({stage: part for stage, part in given.items() if part is not None})

    def _repr_png_(self) -> bytes:
        return png_bytes(np.asarray(self.overlay()))

    def __repr__(self) -> str:
        height, width = self.label_map.shape
        things = sum(one.is_thing for one in self.segments)
        return (
            f"<zeropan.Result of {self.name}, {width}x{height}: {things} things, "
            f"{len(self.segments) - things} stuff>"
        )
