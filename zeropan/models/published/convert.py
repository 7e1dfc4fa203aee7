"""Pickled checkpoints to safetensors, once, and only tensors: nothing in a pickle is executed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zeropan.errors import WeightsDamaged
from zeropan.models.folders import CONFIG, WEIGHTS, faults_between
from zeropan.models.published.architectures import SwinSize, grounding_dino_config, sam_config
from zeropan.models.published.components import Component

UNUSED: Mapping[str, tuple[str, ...]] = {
    "groundingdino": ("label_enc.weight", "bert.embeddings.position_ids"),
    "segment_anything": (),
}
"""Keys of the published files that the models have no use for: label embeddings of denoising
training, and a constant that transformers no longer stores."""


def convert(checkpoint: Path, component: Component, folder: Path) -> None:
    """Write config.json and model.safetensors of a checkpoint whose hash has been checked.

    Args:
        checkpoint: a file of the component that torch has pickled.
        component: its kind says which model the keys must fit.
        folder: gets the two files; for Grounding DINO it holds vocab.txt already.

    Raises:
        WeightsDamaged: the pickle holds more than tensors, or other keys or shapes than the model.
    """
    state = tensors_of(checkpoint)
    known = set(UNUSED[component.kind])
    state = {key: value for key, value in state.items() if key not in known}
    config, model = _BUILDERS[component.kind](component, folder)
    faults = faults_between(state, model.state_dict())
    if faults:
        raise WeightsDamaged(f"{checkpoint.name} is no {component.title}: {faults}")
    # Several names may share one tensor in a pickle; safetensors wants each on its own.
    save_file({key: value.clone().contiguous() for key, value in state.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def tensors_of(checkpoint: Path) -> dict[str, Tensor]:
    """The weights in a pickled checkpoint, without the prefix of parallel training.

    Raises:
        WeightsDamaged: it is no such file, or it holds more than plain data.
    """
    try:
        loaded: Any = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsDamaged(
            f"{checkpoint.name} is not a file of plain tensors, so it was not loaded "
            f"({reason}); get it from its published source"
        ) from error
    state = loaded.get("model", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsDamaged(
            f"{checkpoint.name} does not hold a model's weights; get it from its published source"
        )
    return {key.removeprefix("module."): value for key, value in state.items()}


def _grounding_dino(component: Component, folder: Path) -> tuple[dict[str, Any], nn.Module]:
    from zeropan.models.grounding_dino.build import CaptionTokenizer, build_grounding_dino

    size: SwinSize = "swin_b" if component.variant == "swin_b" else "swin_t"
    config = grounding_dino_config(size)
    return config, build_grounding_dino(config, CaptionTokenizer(folder / "vocab.txt"))


def _segment_anything(component: Component, folder: Path) -> tuple[dict[str, Any], nn.Module]:
    from zeropan.models.sam.network import build_published_sam

    with torch.device("meta"):
        return sam_config(component.variant), build_published_sam(component.variant)


_BUILDERS: Mapping[str, Callable[[Component, Path], tuple[dict[str, Any], nn.Module]]] = {
    "groundingdino": _grounding_dino,
    "segment_anything": _segment_anything,
}
