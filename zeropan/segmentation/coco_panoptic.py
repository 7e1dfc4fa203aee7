"""A panoptic result in COCO's interchange format: a PNG of ids and a JSON of segments.

Format: https://cocodataset.org/#format-data, "Panoptic Segmentation": a pixel's segment id is
R + 256 G + 256^2 B, 0 is unlabelled.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Int32, Panoptic, SegmentInfo, UInt8

MOST_IDS = 256**3


def coco_rgb(panoptic: Panoptic) -> UInt8:
    """The label map as COCO colours, uint8 (H, W, 3).

    Raises:
        ValueError: an id does not fit into three bytes.
    """
    ids = panoptic.label_map
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= MOST_IDS):
        raise ValueError(
            f"label_map: expected ids of 0 to {MOST_IDS - 1}, got {int(ids.min())} to "
            f"{int(ids.max())}"
        )
    return np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1).astype(np.uint8)


def ids_of(rgb: UInt8) -> Int32:
    """The label map, int32 (H, W), that a COCO panoptic PNG of uint8 (H, W, 3) holds."""
    wide = rgb.astype(np.int32)
    ids: Int32 = wide[..., 0] + 256 * wide[..., 1] + 256**2 * wide[..., 2]
    return ids


def coco_png(panoptic: Panoptic) -> bytes:
    """The label map as a COCO panoptic PNG."""
    buffer = io.BytesIO()
    Image.fromarray(coco_rgb(panoptic)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def coco_json(
    panoptic: Panoptic,
    categories: Categories,
    *,
    image_id: int | str,
    file_name: str,
    png_name: str | None = None,
) -> dict[str, Any]:
    """The JSON beside the PNG: one image, one annotation and the categories.

    Args:
        panoptic: the result.
        categories: those it was made with.
        image_id: the image's id in a data set; COCO wants an integer, texts work in most tools.
        file_name: the image's file name.
        png_name: the panoptic PNG's file name; that of the image with ".png" by default.
    """
    height, width = panoptic.label_map.shape
    return {
        "images": [{"id": image_id, "file_name": file_name, "height": height, "width": width}],
        "annotations": [
            {
                "image_id": image_id,
                "file_name": png_name or f"{file_name.rsplit('.', 1)[0]}.png",
                "segments_info": [
                    segment_entry(segment) | {"score": float(segment.score)}
                    for segment in panoptic.segments_info
                ],
            }
        ],
        "categories": category_entries(categories),
    }


def segment_entry(segment: SegmentInfo) -> dict[str, Any]:
    """One segment of `segments_info`, without what only a prediction has."""
    return {
        "id": int(segment.id),
        "category_id": int(segment.category_id),
        "isthing": int(segment.isthing),
        "area": int(segment.area),
        "bbox": [int(side) for side in segment.bbox_xywh],
        "iscrowd": 0,
    }


def category_entries(categories: Categories) -> list[dict[str, Any]]:
    """The list `categories`; ids are 1 to n, things first."""
    return [
        {
            "id": categories.id_of(category),
            "name": category.name,
            "supercategory": "thing" if category.isthing else "stuff",
            "isthing": int(category.isthing),
        }
        for category in categories.ordered
    ]
