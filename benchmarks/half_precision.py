"""Whether half precision changes results: in the store, and in the backbones.

    python -m benchmarks.half_precision [--scenes FIRST-LAST] [--preset tiny]

Rows: everything in 32 bits; embeddings and heat maps rounded to 16 bits, as the store keeps them;
backbones in bfloat16. Changed: pixels whose segment is another than in the first row.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.method import CATEGORIES, Perceived, perceive, score
from zeropan.evaluation.comparison import changed_pixels
from zeropan.evaluation.comparison import compare as compare_results
from zeropan.models.loading import segmenter
from zeropan.models.presets import find_preset
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.panoptic import fuse
from zeropan.segmentation.records import Panoptic
from zeropan.segmentation.stuff_masks import refine_stuff
from zeropan.segmentation.stuff_regions import find_stuff_regions
from zeropan.segmentation.things import segment_things


def rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To half precision and back."""
    return values.astype(np.float16).astype(np.float32)


def as_stored(scene: Perceived) -> Perceived:
    """What the store gives back of a scene's model outputs."""
    return replace(
        scene,
        embedding=replace(scene.embedding, features=rounded(scene.embedding.features)),
        stuff=replace(scene.stuff, logits=rounded(scene.stuff.logits)),
    )


def result(scene: Perceived, config: PipelineConfig, preset: str) -> Panoptic:
    """The four steps."""
    prompter = segmenter(preset, "auto")
    things = segment_things(
        scene.grounded, scene.embedding, CATEGORIES, config.things, segmenter=prompter
    )
    regions = find_stuff_regions(scene.stuff, things, CATEGORIES, config.stuff_regions)
    stuff = refine_stuff(
        regions,
        scene.embedding,
        CATEGORIES,
        config.stuff_masks,
        segmenter=prompter,
        seed_material="benchmark",
    )
    return fuse(things, regions, stuff, CATEGORIES, config.panoptic)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="1000-1039", help="seeds, first to last")
    parser.add_argument("--preset", default="tiny")
    given = parser.parse_args()
    first, last = (int(part) for part in given.scenes.split("-"))
    seeds = range(first, last + 1)
    config = find_preset(given.preset).config_for("default")
    exact = perceive(seeds, given.preset, "fp32")
    variants = {
        "32 bits": exact,
        "embedding and heat maps stored in 16 bits": [as_stored(scene) for scene in exact],
        "backbones in bfloat16": perceive(seeds, given.preset, "bf16"),
    }
    before = [result(scene, config, given.preset) for scene in exact]
    print("| precision | PQ | pixels changed |")
    print("|---|---|---|")
    for name, scenes in variants.items():
        quality = score(name, scenes, config, given.preset).report
        changed = []
        for old, scene in zip(before, scenes, strict=True):
            new = result(scene, config, given.preset)
            changed.append(changed_pixels(old, new, compare_results(old, new)).mean())
        print(f"| {name} | {quality.all.pq:.4f} | {float(np.mean(changed)):.3%} |")


if __name__ == "__main__":
    main()
