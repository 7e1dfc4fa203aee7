"""The default method against the reference, and each difference on its own.

    python -m benchmarks.method [--scenes SEED0-SEED1] [--set stage.field=value ...]

Perception runs once a scene; every row then re-runs the four steps on the same outputs with other
parameters, with every word prompted. Rows: the reference, the default, the default with one
parameter set back to the reference's, and whatever --set asks for.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from evaluation.panoptic_quality import PanopticQuality, QualityReport
from evaluation.truth import GroundTruth
from flows.request import parse_override
from models.presets import detector, find_preset, segmenter, text_segmenter
from scenes.render import render_scene
from scenes.truth import panoptic_of
from scenes.vocabulary import STUFF, THINGS
from segmentation.categories import Categories
from segmentation.config import METHODS, PipelineConfig
from segmentation.panoptic import fuse
from segmentation.records import GroundedBoxes, ImageEmbedding, StuffLogits
from segmentation.stuff_masks import refine_stuff
from segmentation.stuff_regions import find_stuff_regions
from segmentation.things import segment_things

CATEGORIES = Categories.from_words(THINGS, STUFF)


@dataclass(frozen=True)
class Perceived:
    """One scene's model outputs, before any threshold, and its truth."""

    truth: GroundTruth
    grounded: GroundedBoxes
    embedding: ImageEmbedding
    stuff: StuffLogits


def perceive(seeds: range, preset: str) -> list[Perceived]:
    """Run the three backbones once a scene."""
    found = []
    for seed in seeds:
        scene = render_scene(seed)
        found.append(
            Perceived(
                GroundTruth.of(panoptic_of(scene, CATEGORIES)),
                detector(preset, "auto").ground(scene.image, CATEGORIES.thing_prompts),
                segmenter(preset, "auto").embed(scene.image),
                text_segmenter(preset, "auto").score(scene.image, CATEGORIES.stuff_prompts),
            )
        )
    return found


def score(
    scenes: list[Perceived], config: PipelineConfig, preset: str
) -> tuple[QualityReport, float]:
    """Panoptic quality over the scenes, and seconds of the four steps a scene."""
    quality = PanopticQuality.of(CATEGORIES)
    prompter = segmenter(preset, "auto")
    started = time.perf_counter()
    for scene in scenes:
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
        quality.add(scene.truth, fuse(things, regions, stuff, CATEGORIES, config.panoptic))
    return quality.result(), (time.perf_counter() - started) / len(scenes)


def with_value(config: PipelineConfig, stage: str, field: str, value: object) -> PipelineConfig:
    """The configuration with one parameter changed, checked."""
    values = config.model_dump()
    values[stage][field] = value
    return PipelineConfig.model_validate(values)


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="1000-1039", help="seeds, first to last")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--set", action="append", default=[], help="one more row")
    parser.add_argument("--only-set", action="store_true", help="no row for each difference")
    given = parser.parse_args()
    first, _, last = given.scenes.partition("-")
    scenes = perceive(range(int(first), int(last) + 1), given.preset)
    default = find_preset(given.preset).config_for("default")
    reference = METHODS["reference"]
    rows = {"reference": reference, "default": default}
    if not given.only_set:
        for stage in PipelineConfig.model_fields:
            for field, value in getattr(reference, stage).model_dump().items():
                if value != getattr(getattr(default, stage), field):
                    rows[f"default, {stage}.{field}={value}"] = with_value(
                        default, stage, field, value
                    )
    for text in given.set:
        changed = default
        for part in text.split():
            changed = with_value(changed, *parse_override(part))
        rows[text] = changed
    print("| method | PQ | things | stuff | SQ | RQ | s a scene |\n|---|---|---|---|---|---|---|")
    for name, config in rows.items():
        report, seconds = score(scenes, config, given.preset)
        if report.all is None:
            continue
        parts = [
            report.all.pq,
            *(part.pq if part else 0.0 for part in (report.things, report.stuff)),
        ]
        parts += [report.all.sq, report.all.rq, seconds]
        print(f"| {name} | " + " | ".join(f"{part:.3f}" for part in parts) + " |", flush=True)
    report, _ = score(scenes, default, given.preset)
    for number, counts in report.per_category.items():
        print(f"    {CATEGORIES.by_id(number).name}: PQ {counts.pq:.3f}")


if __name__ == "__main__":
    main()
