"""Prompts and targets for the promptable segmenter, drawn from cached scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.scene_cache import SceneCache
from zeropan.scenes.vocabulary import STUFF, THINGS

CLASSES = (*THINGS, *STUFF)
OFFSET_SCALE = 32.0
"""Pixels that count as 1 in the offset targets."""
MAX_POINTS = 32


@dataclass(frozen=True)
class Batch:
    """B images with P_b box prompts and P_p point prompts each; S is the side in pixels."""

    images: Tensor
    """float32 (B, 3, S, S), 0 to 255; the padding of a cropped image is NaN."""
    boxes: Tensor
    """float32 (B, P_b, 4), x0 y0 x1 y1 in pixels."""
    points: Tensor
    """float32 (B, P_p, N, 2), pixels."""
    point_labels: Tensor
    """float32 (B, P_p, N): 1 inside, 0 outside, -1 padding."""
    targets: Tensor
    """float32 (B, P_b + P_p, S / 2, S / 2): covered share of each 2 x 2 block."""
    classes: Tensor
    """int64 (B, S / 4, S / 4): index into CLASSES, -100 in padding."""
    offsets: Tensor
    """float32 (B, 2, S / 4, S / 4): x and y to the instance's centre; NaN where there is none."""
    borders: Tensor
    """float32 (B, S / 4, S / 4): 1 where the segment changes to the right or below."""


def _orient(array: NDArray[Any], turns: int, flip: bool) -> NDArray[Any]:
    turned = np.rot90(array, turns)
    return turned[:, ::-1] if flip else turned


def _jitter_colour(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    shift = rng.uniform(-12, 12)
    jittered = np.clip((image - 128.0) * gain + 128.0 + shift, 0.0, 255.0)
    return np.asarray(jittered, dtype=np.float32)


def _tight_box(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def _jitter_box(
    box: NDArray[np.float32], side: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Move every edge by up to about a tenth of the box's side, as a detector would."""
    extent = np.tile(box[2:] - box[:2], 2)
    moved = box + np.clip(rng.normal(0.0, 0.05, 4), -0.12, 0.12) * extent
    return np.asarray(np.clip(moved, 0, side), dtype=np.float32)


def _draw_points(
    inside: NDArray[np.bool_], valid: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points of one prompt, some of them marked as outside, some of many simply wrong."""
    labels = np.ones(count, dtype=np.float32)
    if count >= 2 and rng.random() < 0.15:
        labels[rng.random(count) < 0.3] = 0.0
        labels[0] = 1.0
    lands_inside = labels == 1.0
    if count >= 6 and rng.random() < 0.25:
        lands_inside &= rng.random(count) > 0.08
    outside = valid & ~inside
    pools = [np.flatnonzero(outside if outside.any() else inside), np.flatnonzero(inside)]
    flat = np.array([rng.choice(pools[int(k)]) for k in lands_inside])
    width = inside.shape[1]
    points = np.stack([flat % width, flat // width], axis=1) + rng.random((count, 2))
    return points.astype(np.float32), labels


def _blocks(array: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Means over size x size blocks of (..., S, S)."""
    *lead, height, width = array.shape
    parts = array.reshape(*lead, height // size, size, width // size, size)
    return np.asarray(parts.mean(axis=(-3, -1), dtype=np.float32))


def draw_sample(
    image: NDArray[np.uint8],
    label_map: NDArray[np.uint8],
    segments: Sequence[dict[str, Any]],
    rng: np.random.Generator,
    *,
    boxes: int,
    point_sets: int,
) -> dict[str, NDArray[Any]]:
    """One training example; the fields are those of `Batch` without the first axis."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    labels = np.ascontiguousarray(_orient(label_map, turns, flip)).astype(np.int64)
    pixels = np.ascontiguousarray(_orient(image, turns, flip)).astype(np.float32)
    pixels = _jitter_colour(pixels, rng)
    side = labels.shape[0]
    if rng.random() < 0.2:
        # A picture that is not square is padded to the right or below.
        keep = int(rng.integers(side // 2, side - 8))
        cut = np.s_[:, keep:] if rng.random() < 0.5 else np.s_[keep:, :]
        labels[cut] = 0
        pixels[cut] = np.nan
    valid = labels > 0
    areas = np.bincount(labels.ravel(), minlength=256)
    shown = [s for s in segments if areas[s["id"]] >= 48]
    things = [s for s in shown if s["isthing"]]
    stuff = [s for s in shown if not s["isthing"]]

    prompted: list[NDArray[np.bool_]] = []
    box_rows = []
    order = rng.permutation(len(things)) if things else rng.permutation(len(shown))
    pool = things or shown
    for k in range(boxes):
        inside = labels == pool[order[k % len(order)]]["id"]
        box = _tight_box(inside)
        box_rows.append(_jitter_box(box, side, rng) if rng.random() < 0.7 else box)
        prompted.append(inside)

    points = np.zeros((point_sets, MAX_POINTS, 2), dtype=np.float32)
    point_labels = -np.ones((point_sets, MAX_POINTS), dtype=np.float32)
    for k in range(point_sets):
        wants_stuff = bool(stuff) and (not things or rng.random() < 0.75)
        pool = stuff if wants_stuff else things
        inside = labels == pool[int(rng.integers(len(pool)))]["id"]
        most = MAX_POINTS if wants_stuff else 6
        count = int(np.exp(rng.uniform(0.0, np.log(most + 0.99))))
        drawn, marks = _draw_points(inside, valid, count, rng)
        points[k, :count], point_labels[k, :count] = drawn, marks
        prompted.append(inside)

    coarse = labels[2::4, 2::4]
    classes = np.full(256, -100, dtype=np.int64)
    centres = np.full((256, 2), np.nan, dtype=np.float32)
    for segment in shown:
        classes[segment["id"]] = CLASSES.index(segment["name"])
    for segment in things:
        rows, columns = np.nonzero(labels == segment["id"])
        centres[segment["id"]] = columns.mean() + 0.5, rows.mean() + 0.5
    grid = np.arange(2, side, 4, dtype=np.float32) + 0.5
    here = np.stack(np.broadcast_arrays(grid[None, :], grid[:, None]), axis=-1)
    borders = np.zeros(coarse.shape, dtype=np.float32)
    borders[:, :-1] += coarse[:, :-1] != coarse[:, 1:]
    borders[:-1] += coarse[:-1] != coarse[1:]
    return {
        "images": pixels.transpose(2, 0, 1),
        "boxes": np.stack(box_rows),
        "points": points,
        "point_labels": point_labels,
        "targets": _blocks(np.stack(prompted), 2),
        "classes": classes[coarse],
        "offsets": ((centres[coarse] - here) / OFFSET_SCALE).transpose(2, 0, 1),
        "borders": np.minimum(borders, 1.0),
    }


def draw_batch(
    cache: SceneCache,
    indices: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    boxes: int,
    point_sets: int,
) -> Batch:
    """Draw one example for each index; point sets are cut to the longest that was drawn."""
    samples = [
        draw_sample(
            cache.images[index],
            cache.labels[index],
            cache.segments[index],
            rng,
            boxes=boxes,
            point_sets=point_sets,
        )
        for index in indices.tolist()
    ]
    stacked = {
        name: torch.from_numpy(np.ascontiguousarray(np.stack([s[name] for s in samples])))
        for name in samples[0]
    }
    longest = int((stacked["point_labels"] >= 0).sum(dim=-1).max())
    stacked["points"] = stacked["points"][:, :, :longest].contiguous()
    stacked["point_labels"] = stacked["point_labels"][:, :, :longest].contiguous()
    return Batch(**stacked)
