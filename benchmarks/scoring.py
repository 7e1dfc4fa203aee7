"""Scenes perceived once, and how well a configuration of the four steps does on them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.bootstrap import SceneCounts
from zeropan.choices import PrecisionChoice
from zeropan.evaluation.panoptic_quality import PanopticQuality, QualityReport
from zeropan.evaluation.truth import GroundTruth
from zeropan.models.loading import PresetModels, resolve_precisions, segmenter
from zeropan.scenes.render import render_scene
from zeropan.scenes.truth import panoptic_of
from zeropan.scenes.vocabulary import STUFF, THINGS
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.pipeline import Perception, run_steps
from zeropan.segmentation.pipeline import perceive as perceive_image

CATEGORIES = Categories.from_words(THINGS, STUFF).canonical


def seeds_of(text: str) -> range:
    """The seeds that "1000-1039" names, the last among them."""
    first, last = (int(part) for part in text.split("-"))
    return range(first, last + 1)


@dataclass(frozen=True)
class Perceived:
    """One scene's model outputs, before any threshold, and its truth."""

    truth: GroundTruth
    perception: Perception


@dataclass(frozen=True)
class Row:
    """One method's quality over all scenes."""

    name: str
    report: QualityReport
    scenes: SceneCounts
    seconds: float
    """Of the four steps, a scene."""


def perceive(seeds: range, preset: str, precision: PrecisionChoice = "auto") -> list[Perceived]:
    """Run the three backbones once a scene."""
    models = PresetModels(preset, "auto", resolve_precisions(preset, "auto", precision))
    found = []
    for seed in seeds:
        scene = render_scene(seed)
        truth = GroundTruth.of(panoptic_of(scene, CATEGORIES))
        found.append(Perceived(truth, perceive_image(scene.image, CATEGORIES, models)))
    return found


def score(name: str, scenes: list[Perceived], config: PipelineConfig, preset: str) -> Row:
    """Panoptic quality over the scenes, and seconds of the four steps a scene."""
    quality = PanopticQuality.of(CATEGORIES)
    each = []
    prompter = segmenter(preset, "auto")
    seconds = 0.0
    for scene in scenes:
        started = time.perf_counter()
        result = run_steps(scene.perception, Asked(CATEGORIES, config), prompter).panoptic
        seconds += time.perf_counter() - started
        alone = PanopticQuality.of(CATEGORIES)
        alone.add(scene.truth, result)
        quality.merge(alone)
        each.append(alone.result().per_category)
    return Row(name, quality.result(), SceneCounts.of(each), seconds / len(scenes))
