"""Model folders of the published sizes with random values: they cost what the real ones cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from zeropan.models.grounding_dino.build import CaptionTokenizer, build_grounding_dino
from zeropan.models.presets import BUNDLED
from zeropan.models.published.architectures import SwinSize, grounding_dino_config, sam_config
from zeropan.scenes.vocabulary import STUFF, THINGS


def write_models(folder: Path, *, sam: str) -> None:
    """Write the folders of the three models of a published preset, without a pull's manifest.

    Args:
        folder: what ZEROPAN_MODELS names.
        sam: vit_b, vit_l or vit_h.
    """
    torch.manual_seed(0)
    write_grounding_dino(folder / "grounding_dino_swin_t", "swin_t")
    write_sam(folder / f"sam_{sam}", sam)
    write_clipseg(folder / "clipseg_rd64")


def write_grounding_dino(folder: Path, size: SwinSize) -> None:
    """A model folder of Grounding DINO."""
    config = grounding_dino_config(size)
    known = {100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}
    words = " ".join((*THINGS, *STUFF)).split()
    known |= {2000 + number: word for number, word in enumerate(words)} | {0: "[PAD]"}
    rows = [known.get(row, f"[unused{row}]") for row in range(config["bert"]["vocab_size"])]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _save(folder, build_grounding_dino(config, CaptionTokenizer(folder / "vocab.txt")), config)


def write_sam(folder: Path, variant: str) -> None:
    """A model folder of SAM: vit_b, vit_l or vit_h."""
    from zeropan.models.sam.network import build_published_sam

    folder.mkdir(parents=True, exist_ok=True)
    _save(folder, build_published_sam(variant), sam_config(variant))


def write_clipseg(folder: Path) -> None:
    """A model folder of CLIPSeg rd64."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    config = CLIPSegConfig(
        reduce_dim=64, use_complex_transposed_convolution=True, vision_config={"patch_size": 16}
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / "clipseg" / name, folder / name)
    size = {"size": {"height": 352, "width": 352}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size), encoding="utf-8")
    _save(folder, CLIPSegForImageSegmentation(config), config.to_dict())


def _save(folder: Path, model: nn.Module, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config, default=str), encoding="utf-8")
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
