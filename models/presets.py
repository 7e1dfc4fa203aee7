"""Presets: named sets of the three models, and where their files are.

The tiny preset ships with zeropan. Any other preset is a folder of that name under
`ZEROPAN_MODELS` (by default ~/.cache/zeropan/models) with one folder for each model, which holds
config.json, model.safetensors and the vocabulary.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import ItemsView
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.protocols import BoxDetector, CoarseTextSegmenter, ModelIdentity, PromptableSegmenter
from models.weights import folder_identity
from segmentation.config import METHODS, Method, PipelineConfig
from segmentation.errors import BadConfig, WeightsMissing

BUNDLED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Preset:
    """A named set of three models."""

    name: str
    description: str
    bundled: bool = False
    overrides: tuple[tuple[str, str, Any], ...] = ()
    """(stage, field, value): where this preset's default method differs from the general one,
    by measurement."""

    @property
    def folder(self) -> Path:
        """Where the preset's files are, or should be."""
        return (BUNDLED if self.bundled else models_folder()) / self.name

    def config_for(self, method: Method) -> PipelineConfig:
        """The parameters of a method with this preset; the reference is the same for all."""
        config = METHODS[method]
        if method == "reference":
            return config
        stages = {stage: getattr(config, stage) for stage, _, _ in self.overrides}
        for stage, field, value in self.overrides:
            stages[stage] = stages[stage].model_copy(update={field: value})
        return config.model_copy(update=stages)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "tiny",
            "small models trained on rendered tabletop scenes; they know only those words",
            bundled=True,
        ),
        Preset("base", "Grounding DINO Swin-T, SAM ViT-B, CLIPSeg rd64"),
        Preset("reference", "Grounding DINO Swin-T, SAM ViT-H, CLIPSeg rd64"),
    )
}
COMPONENTS: dict[str, str] = {
    "detector": "grounding_dino",
    "segmenter": "segment_anything",
    "text_segmenter": "clipseg",
}
"""The three models' roles, and the folder of each."""


@dataclass(frozen=True)
class ModelIdentities:
    """Which three models a preset's results come from."""

    detector: ModelIdentity
    segmenter: ModelIdentity
    text_segmenter: ModelIdentity

    def items(self) -> ItemsView[str, ModelIdentity]:
        """Pairs of role and identity."""
        return {role: getattr(self, role) for role in COMPONENTS}.items()


def models_folder() -> Path:
    """Where weights that do not ship with zeropan are kept."""
    configured = os.environ.get("ZEROPAN_MODELS")
    return Path(configured) if configured else Path.home() / ".cache" / "zeropan" / "models"


def find_preset(name: str, *, need_weights: bool = True) -> Preset:
    """The preset of this name, with all its files there unless they are not needed.

    Raises:
        BadConfig: no preset has this name.
        WeightsMissing: a model's files are absent.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0)
        raise BadConfig(
            f"preset {name!r} is not known; use one of {', '.join(PRESETS)} "
            f"(the nearest is {near[0]!r})"
        )
    preset = PRESETS[name]
    if not need_weights:
        return preset
    missing = [
        str(preset.folder / folder)
        for folder in COMPONENTS.values()
        if not (preset.folder / folder / "model.safetensors").is_file()
    ]
    if missing:
        raise WeightsMissing(
            f"the weights of preset {name!r} are not on this machine: put config.json, "
            f"model.safetensors and the vocabulary into {', '.join(missing)}, or use --preset tiny"
        )
    return preset


def identities(name: str) -> ModelIdentities:
    """The identities of a preset's three models, by the bytes of their files.

    Raises:
        BadConfig: no preset has this name.
        WeightsMissing: a model's files are absent.
    """
    folder = find_preset(name).folder
    return ModelIdentities(
        **{role: folder_identity(folder / sub) for role, sub in COMPONENTS.items()}
    )


@lru_cache(maxsize=2)
def detector(preset: str, device: str) -> BoxDetector:
    """The preset's Grounding DINO; loaded once in a process and kept."""
    from models.grounding_dino import GroundingDinoDetector

    folder = find_preset(preset).folder / COMPONENTS["detector"]
    return GroundingDinoDetector.load(folder, device=resolve_device(device))


@lru_cache(maxsize=2)
def segmenter(preset: str, device: str) -> PromptableSegmenter:
    """The preset's SAM; loaded once in a process and kept."""
    from models.sam import SamSegmenter

    folder = find_preset(preset).folder / COMPONENTS["segmenter"]
    return SamSegmenter.load(folder, device=resolve_device(device))


@lru_cache(maxsize=2)
def text_segmenter(preset: str, device: str) -> CoarseTextSegmenter:
    """The preset's CLIPSeg; loaded once in a process and kept."""
    from models.clipseg import ClipSegSegmenter

    folder = find_preset(preset).folder / COMPONENTS["text_segmenter"]
    return ClipSegSegmenter.load(folder, device=resolve_device(device))


def resolve_device(device: str) -> str:
    """Make "auto" cuda, mps or cpu, whichever this machine has first."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
