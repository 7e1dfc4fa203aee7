"""Write the trained text segmenter as files that transformers and the adapter load."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from training.text_segmenter.data import MEAN, STD
from training.text_segmenter.model import IMAGE_SIZE


def export(model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, directory: Path) -> None:
    """Write config, preprocessor settings, half-precision weights and tokenizer to `directory`.

    The folder is written aside and then put in place of an older one.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        config = model.config.to_dict()
        config.pop("transformers_version", None)
        names = {"architecture": "clipseg", "architectures": [type(model).__name__]}
        _write_json(aside / "config.json", {**config, **names})
        _write_json(
            aside / "preprocessor_config.json",
            {
                "size": IMAGE_SIZE,
                "do_pad": True,
                "image_mean": list(MEAN),
                "image_std": list(STD),
            },
        )
        tokenizer.save_pretrained(aside)
        weights = {
            name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()
        }
        save_file(weights, aside / "model.safetensors", metadata={"format": "pt"})
        for path in aside.iterdir():
            path.chmod(0o644)
        aside.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(aside, directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
