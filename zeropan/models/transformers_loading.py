"""Models of transformers from a folder's files alone: no network, no silently missing weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zeropan.errors import WeightsDamaged, WeightsMissing
from zeropan.models.folders import CONFIG, WEIGHTS


def load_pretrained(model_class: Any, folder: Path, *, ignored: tuple[str, ...] = ()) -> Any:
    """A model in fp32 and in evaluation mode.

    Args:
        model_class: a class of transformers with `from_pretrained`.
        folder: holds config.json and model.safetensors.
        ignored: beginnings of keys that the file may hold and the model does not use.

    Raises:
        WeightsMissing: a file is not there.
        WeightsDamaged: keys are missing, unknown or of another shape, or a file is unreadable.
    """
    import torch

    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise WeightsMissing(f"{folder / name} is not there; put the model's files into it")
    try:
        model, found = model_class.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # The library's loaders raise whatever their parsers raise.
        raise WeightsDamaged(
            f"the model in {folder} cannot be loaded ({error}); get its files again"
        ) from error
    faults = [f"{key} is missing" for key in found["missing_keys"]]
    faults += [
        f"{key} is unknown" for key in found["unexpected_keys"] if not key.startswith(ignored)
    ]
    faults += [f"{mismatch[0]} has another shape" for mismatch in found["mismatched_keys"]]
    if faults:
        shown = "; ".join(sorted(faults)[:8])
        more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise WeightsDamaged(f"{folder / WEIGHTS} does not fit its config.json: {shown}{more}")
    return model.eval().requires_grad_(False)
