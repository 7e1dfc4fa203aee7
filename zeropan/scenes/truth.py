"""A scene's exact truth in the pipeline's own terms."""

from __future__ import annotations

import numpy as np

from zeropan.scenes.scene import Scene
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic, SegmentInfo


def panoptic_of(scene: Scene, categories: Categories) -> Panoptic:
    """The scene's label map as a Panoptic of these categories.

    Segments whose name is not among the categories become unlabelled (0), which evaluation
    ignores. A segment's id stays what it is in the scene.
    """
    ids = {category.name: i + 1 for i, category in enumerate(categories.ordered)}
    known = [segment for segment in scene.segments if segment.name in ids]
    label_map = np.where(
        np.isin(scene.label_map, [segment.id for segment in known]), scene.label_map, 0
    ).astype(np.int32)
    infos = []
    for segment in sorted(known, key=lambda s: s.id):
        rows, columns = np.nonzero(label_map == segment.id)
        if rows.size == 0:
            continue
        x, y = int(columns.min()), int(rows.min())
        infos.append(
            SegmentInfo(
                id=segment.id,
                category_id=ids[segment.name],
                isthing=segment.isthing,
                area=int(rows.size),
                bbox_xywh=(x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1),
                score=1.0,
            )
        )
    return Panoptic(label_map=label_map, segments_info=tuple(infos))
