"""A preset's models in memory: each is loaded once in a process and kept."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from zeropan.choices import Precision, PrecisionChoice
from zeropan.errors import BadConfig
from zeropan.models.precision import resolve_precision
from zeropan.models.presets import TINY, find_preset, folder_of, parse_preset
from zeropan.models.protocols import BoxDetector, CoarseTextSegmenter, PromptableSegmenter
from zeropan.models.published.components import Component, Kind, Role

_ADAPTERS: Mapping[Kind, tuple[str, str]] = {
    "groundingdino": ("grounding_dino.adapter", "GroundingDinoDetector"),
    "hf_grounding_dino": ("grounding_dino.transformers_adapter", "HubGroundingDinoDetector"),
    "sam3": ("sam.sam3", "Sam3Detector"),
    "segment_anything": ("sam.adapter", "SamSegmenter"),
    "sam2": ("sam.sam2", "Sam2Segmenter"),
    "clipseg": ("clipseg.adapter", "ClipSegSegmenter"),
}
"""Module and class of each; imported only when one is wanted, for each brings its package."""


def detector(preset: str, device: str, precision: str = "auto") -> BoxDetector:
    """The preset's model that finds boxes for words."""
    found: BoxDetector = _model("detector", preset, device, precision)
    return found


def segmenter(preset: str, device: str, precision: str = "auto") -> PromptableSegmenter:
    """The preset's model that turns boxes and points into masks."""
    found: PromptableSegmenter = _model("segmenter", preset, device, precision)
    return found


def text_segmenter(preset: str, device: str, precision: str = "auto") -> CoarseTextSegmenter:
    """The preset's model that scores pixels for words."""
    found: CoarseTextSegmenter = _model("text_segmenter", preset, device, precision)
    return found


class PresetModels:
    """The three models of a preset; each is loaded when it is first asked for, once a process.

    Args:
        preset: its name, such as "tiny".
        device: auto, or a device as torch names it.
        precisions: the arithmetic of each model's backbone.
    """

    def __init__(self, preset: str, device: str, precisions: Mapping[Role, Precision]) -> None:
        self._preset, self._device, self._precisions = preset, device, dict(precisions)

    @property
    def detector(self) -> BoxDetector:
        """Finds boxes for words."""
        return detector(self._preset, self._device, self._precisions["detector"])

    @property
    def segmenter(self) -> PromptableSegmenter:
        """Embeds an image, and turns boxes and points into masks."""
        return segmenter(self._preset, self._device, self._precisions["segmenter"])

    @property
    def text_segmenter(self) -> CoarseTextSegmenter:
        """Scores pixels for words."""
        return text_segmenter(self._preset, self._device, self._precisions["text_segmenter"])


def resolve_precisions(
    preset: str, device: str, precision: PrecisionChoice
) -> dict[Role, Precision]:
    """The arithmetic of each of a preset's backbones on this machine; no weights are needed.

    Raises:
        BadConfig: no such preset, or "auto" has to ask a device that is not here.
    """
    found: dict[Role, Precision] = {}
    for component in parse_preset(preset).components:
        if precision != "auto":
            found[component.role] = precision
        elif component in TINY:
            found[component.role] = "fp32"
        else:
            found[component.role] = precision_of(component, resolve_device(device), precision)
    return found


def _model(role: Role, preset: str, device: str, precision: str) -> Any:
    component = find_preset(preset).component(role)
    device = resolve_device(device)
    return _load(
        component.kind, folder_of(component), device, precision_of(component, device, precision)
    )


def precision_of(component: Component, device: str, precision: str) -> Precision:
    """The precision that a component's backbone runs in.

    Args:
        component: the tiny ones are too small for bfloat16 to pay: "auto" is fp32 for them.
        device: a device as torch names it.
        precision: auto, fp32 or bf16.
    """
    return resolve_precision(precision, device, trained_in_fp32=component in TINY)


@lru_cache(maxsize=6)
def _load(kind: Kind, folder: Path, device: str, precision: Precision) -> Any:
    """The adapter of a folder's files; imported only when it is wanted."""
    module, name = _ADAPTERS[kind]
    adapter: Any = getattr(importlib.import_module(f"zeropan.models.{module}"), name)
    return adapter.load(folder, device=device, precision=precision)


def resolve_device(device: str) -> str:
    """Make "auto" cuda, mps or cpu, whichever this machine has first.

    Raises:
        BadConfig: the device is not one that torch can use here.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind = device.partition(":")[0]
    if kind != "cpu" and not (kind == "cuda" and cuda) and not (kind == "mps" and mps):
        here = ", ".join(["cpu"] + ["cuda"] * cuda + ["mps"] * mps)
        raise BadConfig(f"device {device!r} is not on this machine; use auto or one of: {here}")
    return device
