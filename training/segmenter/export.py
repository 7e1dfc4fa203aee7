"""Writes a trained segmenter's averaged weights as a model folder.

    python -m training.segmenter.export --checkpoint OUT/checkpoint.pt --out FOLDER

The folder then holds config.json and model.safetensors (half precision), each moved into place
whole, so that a reader never sees half a file.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from training.common import load_checkpoint, set_up_process
from training.segmenter.model import TINY
from zeropan.machine.files import write_whole

logger = logging.getLogger(__name__)


def export(checkpoint: Path, out: Path) -> None:
    """Write config.json and model.safetensors of a checkpoint's averaged weights.

    Raises:
        FileNotFoundError: there is no checkpoint.
    """
    state = load_checkpoint(checkpoint)
    if state is None:
        raise FileNotFoundError(f"{checkpoint} is not there; train first")
    kept: dict[str, Tensor] = {
        name.removeprefix("sam."): value.to(torch.float16).contiguous()
        for name, value in state["ema"]["shadow"].items()
        if name.startswith("sam.")
    }
    config = {
        "architecture": "segment-anything tiny (ViT 160 x 5, patch 8, 256 px)",
        "network": asdict(TINY),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "model.safetensors", save(kept))
    write_whole(out / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    logger.info("step %d exported to %s", int(state["step"]), out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Export the tiny promptable segmenter.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    set_up_process(seed=0)
    export(given.checkpoint, given.out)


if __name__ == "__main__":
    main()
