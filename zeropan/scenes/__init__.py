"""Rendered tabletop scenes with exact panoptic ground truth."""

from zeropan.scenes.render import HELD_OUT_SEEDS, TRAINING_SEED_START, render_scene
from zeropan.scenes.scene import Scene, SceneSegment

__all__ = ["HELD_OUT_SEEDS", "TRAINING_SEED_START", "Scene", "SceneSegment", "render_scene"]
