"""Measures a segmenter folder on held-out scenes, beside a filled ellipse in each box.

    python -m training.segmenter.evaluate --weights FOLDER

Boxes are the tight boxes of things in the ground truth, as they are and moved as a detector would
move them; points are spread evenly over the visible pixels of stuff.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.common import set_up_process
from zeropan.models.sam.adapter import SamSegmenter
from zeropan.scenes.render import render_scene
from zeropan.segmentation.records import Bool, Float32

logger = logging.getLogger(__name__)


def iou(mask: Bool, truth: Bool) -> float:
    """Intersection over union of two masks of one shape; 0 for two empty ones."""
    union = np.count_nonzero(mask | truth)
    return float(np.count_nonzero(mask & truth) / union) if union else 0.0


def ellipse(box_xyxy: Float32, size: tuple[int, int]) -> Bool:
    """The filled ellipse that touches a box's four sides: the baseline that sees no picture."""
    x0, y0, x1, y1 = box_xyxy.tolist()
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    across = (x - (x0 + x1) / 2) / max((x1 - x0) / 2, 0.5)
    down = (y - (y0 + y1) / 2) / max((y1 - y0) / 2, 0.5)
    return np.asarray(across**2 + down**2 <= 1.0)


def move_boxes(
    boxes: Float32, size: tuple[int, int], *, share: float, rng: np.random.Generator
) -> Float32:
    """Shift every edge by up to `share` of the box's side, uniformly, and clip to the image."""
    extent = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + rng.uniform(-share, share, boxes.shape) * extent
    return np.clip(moved, 0, np.tile(size[::-1], 2)).astype(np.float32)


def spread_points(mask: Bool, count: int) -> Float32:
    """Centres of `count` pixels of a mask, evenly spaced in reading order: float32 (n, 2)."""
    rows, columns = np.nonzero(mask)
    picked = np.linspace(0, len(rows) - 1, min(count, len(rows)) * 2 + 1).astype(int)[1::2]
    return np.stack([columns[picked], rows[picked]], axis=1).astype(np.float32) + np.float32(0.5)


def evaluate(
    segmenter: SamSegmenter, seeds: Sequence[int], *, side: int, point_counts: Sequence[int]
) -> dict[str, float]:
    """Mean IoU over all segments of the scenes, by kind of prompt and by thing."""
    found: dict[str, list[float]] = {}

    def note(name: str, masks: Sequence[Bool] | Bool, truths: Sequence[Bool]) -> None:
        values = [iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
        found.setdefault(name, []).extend(values)

    for seed in seeds:
        rng = np.random.default_rng(seed)
        scene = render_scene(seed, height=side, width=side)
        embedding = segmenter.embed(scene.image)
        size = scene.label_map.shape[0], scene.label_map.shape[1]
        things = [s for s in scene.segments if s.isthing]
        stuff = [s for s in scene.segments if not s.isthing]
        truths = [scene.mask(s.id) for s in things]
        boxes = np.array([s.bbox_xyxy for s in things], dtype=np.float32).reshape(-1, 4)
        answer = segmenter.masks_from_boxes(embedding, boxes)
        note("box", answer.masks[:, 0], truths)
        note("box_ellipse", [ellipse(box, size) for box in boxes], truths)
        for segment, mask, truth in zip(things, answer.masks[:, 0], truths, strict=True):
            note(f"box_{segment.name}", [mask], [truth])
        reached = np.array([iou(m, t) for m, t in zip(answer.masks[:, 0], truths, strict=True)])
        errors = np.abs(answer.quality[:, 0] - reached)
        found.setdefault("box_quality_error", []).extend(errors.tolist())
        moved = move_boxes(boxes, size, share=0.1, rng=rng)
        note("box_moved", segmenter.masks_from_boxes(embedding, moved).masks[:, 0], truths)
        note("box_moved_ellipse", [ellipse(box, size) for box in moved], truths)
        truths = [scene.mask(s.id) for s in stuff]
        for count in point_counts:
            sets = [spread_points(truth, count) for truth in truths]
            marks = [np.ones(len(points), dtype=np.int32) for points in sets]
            masks = segmenter.masks_from_points(embedding, sets, marks).masks[:, 0]
            note(f"stuff_{count}_points", masks, truths)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure a promptable segmenter.")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=100, help="seeds 0 to this")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--points", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--json", type=Path, default=None, help="also write the numbers here")
    given = parser.parse_args(arguments)
    set_up_process(seed=0)
    numbers = evaluate(
        SamSegmenter.load(given.weights),
        range(given.scenes),
        side=given.side,
        point_counts=given.points,
    )
    for name, value in numbers.items():
        logger.info("%-24s %.4f", name, value)
    if given.json is not None:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
