"""Model folders: what they are by their bytes, and strict loading of their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from zeropan.errors import WeightsDamaged, WeightsMissing
from zeropan.models.protocols import ModelIdentity

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json.

    Raises:
        WeightsMissing: it is not there.
        WeightsDamaged: it is not a JSON object.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsMissing(f"{path} is not there; put the model's files into it") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsDamaged(f"{path} is not JSON ({error}); get the file again") from error
    if not isinstance(config, dict):
        raise WeightsDamaged(f"{path} does not hold a JSON object; get the file again")
    return config


def load_weights(model: nn.Module, folder: Path) -> None:
    """Load a folder's model.safetensors, every key and shape of it, into a model.

    Half precision in the file becomes the model's own precision.

    Raises:
        WeightsMissing: the file is not there.
        WeightsDamaged: keys are missing, unknown or of another shape, or the file is unreadable.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise WeightsMissing(f"{path} is not there; put the model's weights into its folder")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsDamaged(f"{path} cannot be read ({error}); get the file again") from error
    faults = faults_between(state, model.state_dict())
    if faults:
        raise WeightsDamaged(f"{path} does not fit its config.json: {faults}")
    model.load_state_dict(state, strict=True)


def faults_between(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What keeps weights from being a model's: keys missing, unknown or of another shape.

    Returns:
        The first eight faults as a sentence's end; empty if there is none.
    """
    faults = [f"{key} is missing" for key in wanted.keys() - state.keys()]
    faults += [f"{key} is unknown" for key in state.keys() - wanted.keys()]
    faults += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted.keys() & state.keys()
        if state[key].shape != wanted[key].shape
    ]
    more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
    return "; ".join(sorted(faults)[:8]) + more


def folder_identity(folder: Path) -> ModelIdentity:
    """What tells this model's results from another's: its architecture and its files' digest.

    Raises:
        WeightsMissing: config.json is not there.
    """
    files = sorted(path for path in folder.glob("*") if path.is_file())
    stamp = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    architecture = str(read_config(folder).get("architecture", folder.name))
    return ModelIdentity(architecture=architecture, sha256=_digest(folder, stamp))


@lru_cache(maxsize=64)
def _digest(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    """SHA-256 over names and bytes; kept in the process for files that have not changed."""
    digest = hashlib.sha256()
    for name, size, _ in stamp:
        digest.update(f"{name}\0{size}\0".encode())
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
