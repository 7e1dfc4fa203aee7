"""Write the trained text segmenter as files that transformers and the adapter load."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from training.text_segmenter.data import MEAN, STD
from training.text_segmenter.model import IMAGE_SIZE
from zeropan.machine.files import write_whole


def export(model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, directory: Path) -> None:
    """Write config, preprocessor settings, half-precision weights and tokenizer to `directory`.

    Each file appears whole; the weights, which alone change while a run goes on, come last.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict()
    config.pop("transformers_version", None)
    names = {"architecture": "clipseg", "architectures": [type(model).__name__]}
    _write_json(directory / "config.json", {**config, **names})
    _write_json(
        directory / "preprocessor_config.json",
        {
            "size": IMAGE_SIZE,
            "do_pad": True,
            "image_mean": list(MEAN),
            "image_std": list(STD),
        },
    )
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        for path in Path(scratch).iterdir():
            write_whole(directory / path.name, path.read_bytes())
    weights = {
        name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()
    }
    write_whole(directory / "model.safetensors", save(weights, metadata={"format": "pt"}))


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(path, (text + "\n").encode())
