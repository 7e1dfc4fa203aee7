"""Whether half precision changes results: in the store, and in the backbones.

    python -m benchmarks.half_precision [--scenes FIRST-LAST] [--preset tiny]

Rows: everything in 32 bits; embeddings and heat maps rounded to 16 bits, as the store keeps them;
backbones in bfloat16. Changed: pixels whose segment is another than in the first row.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.scoring import CATEGORIES, Perceived, perceive, score, seeds_of
from zeropan.evaluation.comparison import changed_pixels
from zeropan.evaluation.comparison import compare as compare_results
from zeropan.models.loading import PresetModels, resolve_precisions, segmenter
from zeropan.models.presets import find_preset
from zeropan.scenes.render import render_scene
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.pipeline import run_steps
from zeropan.segmentation.records import Panoptic


def exactly(seeds: range, preset: str) -> list[Perceived]:
    """Perception in 32 bits, without the pipeline's rounding of what is stored."""
    models = PresetModels(preset, "auto", resolve_precisions(preset, "auto", "fp32"))
    found = []
    for scene in perceive(seeds, preset, "fp32"):
        image = render_scene(seeds[len(found)]).image
        perception = replace(
            scene.perception,
            embedding=models.segmenter.embed(image),
            stuff=models.text_segmenter.score(image, CATEGORIES.stuff_prompts),
        )
        found.append(replace(scene, perception=perception))
    return found


def result(scene: Perceived, config: PipelineConfig, preset: str) -> Panoptic:
    """The four steps."""
    return run_steps(
        scene.perception, Asked(CATEGORIES, config), segmenter(preset, "auto")
    ).panoptic


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="1000-1039", help="seeds, first to last")
    parser.add_argument("--preset", default="tiny")
    given = parser.parse_args()
    seeds = seeds_of(given.scenes)
    config = find_preset(given.preset).config_for("default")
    exact = exactly(seeds, given.preset)
    variants = {
        "32 bits": exact,
        "embedding and heat maps stored in 16 bits": perceive(seeds, given.preset, "fp32"),
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
