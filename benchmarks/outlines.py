"""Stuff outlines before and after SAM, against the truth of rendered scenes.

    python -m benchmarks.outlines [--scenes SEED0-SEED1] [--picture PNG]

The bundled CLIPSeg answers at every pixel and was trained on such scenes, so its outlines are
good to begin with. The published one decodes a grid of 22 x 22 tokens and is prompted on images
it has not seen. The second row imitates the grid alone: the same logits, averaged over 22 x 22
cells and enlarged again before step 2.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.scoring import CATEGORIES, Perceived, perceive, seeds_of
from zeropan.evaluation.boundary import boundary_f, boundary_iou
from zeropan.models.loading import segmenter
from zeropan.models.presets import find_preset
from zeropan.scenes.render import render_scene
from zeropan.segmentation import pipeline
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.records import Bool, Int32, StuffLogits, StuffMasks, StuffRegions

GRID = 22


def coarse(stuff: StuffLogits) -> StuffLogits:
    """The logits as a grid of 22 x 22 cells would give them, enlarged bilinearly."""
    logits = stuff.logits
    height, width = logits.shape[1:]
    rows = np.arange(GRID) * height // GRID
    columns = np.arange(GRID) * width // GRID
    sums = np.add.reduceat(np.add.reduceat(logits, rows, axis=1), columns, axis=2)
    counts = np.diff([*rows, height])[:, None] * np.diff([*columns, width])[None]
    enlarged = ndimage.zoom(
        sums / counts, (1, height / GRID, width / GRID), order=1, mode="nearest", grid_mode=True
    )
    return replace(stuff, logits=enlarged.astype(np.float32))


def refined(
    scene: Perceived, stuff: StuffLogits, config: PipelineConfig, preset: str
) -> tuple[StuffRegions, StuffMasks, float]:
    """Steps 1 to 3: the regions, SAM's masks for them, and step 3's seconds."""
    prompter = segmenter(preset, "auto")
    ask = Asked(CATEGORIES, config)
    embedding, grounded = scene.perception.embedding, scene.perception.grounded
    things = pipeline.things(embedding, grounded, ask, prompter)
    regions = pipeline.stuff_regions(stuff, things, ask)
    started = time.perf_counter()
    masks = pipeline.stuff_masks(embedding, regions, ask, prompter)
    return regions, masks, time.perf_counter() - started


def measures(mask: Bool, truth: Bool) -> tuple[float, float, float]:
    """IoU, boundary F at 2 pixels, boundary IoU."""
    iou = float((mask & truth).sum() / max(1, (mask | truth).sum()))
    return iou, boundary_f(mask, truth, tolerance_px=2), boundary_iou(mask, truth)


def after_sam(regions: StuffRegions, masks: StuffMasks) -> Int32:
    """A label map of SAM's masks; a pixel that two claim goes to the coarse region's word."""
    label_map = np.zeros_like(regions.label_map)
    for mask, category in zip(masks.masks, masks.category_ids.tolist(), strict=True):
        label_map[mask & ((label_map == 0) | (regions.label_map == category))] = category
    return label_map


def without_things(label_map: Int32, scene: Perceived) -> Int32:
    """Both are judged on what is stuff in truth: who wins over a thing is step 4's matter."""
    stuff = [s.id for s in scene.truth.segments if s.category_id > len(CATEGORIES.things)]
    return np.where(np.isin(scene.truth.label_map, stuff), label_map, 0).astype(np.int32)


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="0-39", help="seeds, first to last")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--picture", type=Path, help="draw the first scene as a PNG")
    given = parser.parse_args()
    seeds = seeds_of(given.scenes)
    scenes = perceive(seeds, given.preset)
    config = find_preset(given.preset).config_for("default")
    print(
        "| CLIPSeg's logits | IoU | boundary F, 2 px | boundary IoU "
        "| after SAM: IoU | boundary F, 2 px | boundary IoU | step 3, s |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name, change in (("as they are", lambda stuff: stuff), ("averaged to 22 x 22", coarse)):
        rows: list[tuple[float, ...]] = []
        seconds = 0.0
        for number, scene in enumerate(scenes):
            stuff = change(scene.perception.stuff)
            regions, masks, spent = refined(scene, stuff, config, given.preset)
            seconds += spent
            both = [
                without_things(label_map, scene)
                for label_map in (regions.label_map, after_sam(regions, masks))
            ]
            for segment in scene.truth.segments:
                if segment.category_id <= len(CATEGORIES.things):
                    continue
                truth = scene.truth.label_map == segment.id
                before, after = (measures(one == segment.category_id, truth) for one in both)
                rows.append((*before, *after))
            if number == 0 and given.picture:
                draw(seeds.start, scene, both, given.picture.with_stem(
                    given.picture.stem + ("" if change is not coarse else "-grid")
                ))  # fmt: skip
        means = np.mean(rows, axis=0)
        cells = " | ".join(f"{value:.3f}" for value in means)
        print(f"| {name} | {cells} | {seconds / len(scenes):.3f} |", flush=True)
    print(f"{len(rows)} true regions in {len(scenes)} scenes")


def draw(seed: int, scene: Perceived, both: list[Int32], path: Path) -> None:
    """The image, the truth, CLIPSeg's regions and SAM's in a row."""
    from zeropan.pictures.palette import stuff_colour
    from zeropan.pictures.rows import side_by_side

    categories = np.zeros(int(scene.truth.label_map.max()) + 1, dtype=np.int32)
    for segment in scene.truth.segments:
        categories[segment.id] = segment.category_id
    truth = without_things(categories[scene.truth.label_map], scene)
    colours = np.array(
        [(235, 235, 235)] * (len(CATEGORIES.things) + 1)
        + [stuff_colour(place) for place in range(len(CATEGORIES.stuff))],
        dtype=np.uint8,
    )
    tiles = [("image", render_scene(seed).image)]
    titles = ("truth", "CLIPSeg's regions", "after SAM")
    tiles += [(title, colours[m]) for title, m in zip(titles, [truth, *both], strict=True)]
    enlarged = [(title, np.kron(tile, np.ones((2, 2, 1), np.uint8))) for title, tile in tiles]
    Image.fromarray(side_by_side(enlarged)).save(path)


if __name__ == "__main__":
    main()
