"""Train the tiny Grounding DINO on rendered scenes.

    python -m training.detector.train --cache DIR --out DIR --minutes 60 --seed 0

A run that was stopped goes on with the same command; --start begins with a model folder's weights
and only the larger sizes. The averaged weights are exported to
`--export` every few minutes and at the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from training.common import (
    Clock,
    Curve,
    DataOrder,
    Ema,
    cosine_with_warmup,
    load_checkpoint,
    restore_rng_state,
    rng_state,
    save_checkpoint,
    scale_learning_rates,
    set_up_process,
)
from training.detector.data import make_batch
from training.detector.losses import total_loss
from training.detector.model import CONFIG, new_model, training_pass, write_vocabulary
from training.scene_cache import SceneCache, open_cache
from zeropan.models.folders import load_weights
from zeropan.models.grounding_dino.build import CaptionTokenizer, quiet_package

logger = logging.getLogger(__name__)

SIZES = ((0.0, (128,)), (0.5, (160, 192)), (0.75, (176, 192, 224)))
"""From which share of the run on, which input sides (pixels) are drawn from."""


@dataclass(frozen=True)
class Recipe:
    """What a run is made of."""

    minutes: float
    seed: int = 0
    batch: int = 8
    learning_rate: float = 1e-3
    threads: int = 1
    device: str = "cpu"
    save_every_s: float = 180.0
    report_every: int = 50
    start: Path | None = None
    """A model folder to begin with, instead of random weights."""


def optimizers_of(model: nn.Module, rate: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon (Jordan et al., 2024) for the matrices inside the network and AdamW for the rest."""
    matrices, offsets, others = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "sampling_offsets" in name or "attention_weights" in name:
            offsets.append(parameter)
        elif parameter.ndim != 2 or "embed" in name or "feat_map" in name:
            others.append(parameter)
        else:
            matrices.append(parameter)
    groups = [{"params": others, "lr": rate}, {"params": offsets, "lr": rate * 0.3}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    muon = torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return (adamw, muon)


class Run:
    """Everything that a run changes, so that it can be saved and restored."""

    def __init__(self, recipe: Recipe, cache: SceneCache, out: Path) -> None:
        self.recipe = recipe
        self.cache = cache
        self.out = out
        self.tokenizer = CaptionTokenizer(write_vocabulary(out))
        self.model = new_model(self.tokenizer).to(recipe.device)
        self.optimizers = optimizers_of(self.model, recipe.learning_rate)
        if recipe.start:
            load_weights(self.model, recipe.start)
        self.ema = Ema(self.model)
        self.order = DataOrder(len(cache), seed=recipe.seed)
        self.clock = Clock(recipe.minutes)
        self.rng = np.random.default_rng(recipe.seed)
        self.step = 0

    def save(self) -> None:
        """Write the checkpoint."""
        state: dict[str, Any] = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "ema": self.ema.state_dict(),
            "order": self.order.state_dict(),
            "clock": self.clock.state_dict(),
            "rng": rng_state(),
            "numpy": self.rng.bit_generator.state,
        }
        save_checkpoint(self.out / "checkpoint.pt", state)

    def resume(self) -> bool:
        """Go on from the checkpoint; False where there is none."""
        state = load_checkpoint(self.out / "checkpoint.pt")
        if state is None:
            return False
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.ema.load_state_dict(state["ema"])
        self.order.load_state_dict(state["order"])
        self.clock.load_state_dict(state["clock"])
        restore_rng_state(state["rng"])
        self.rng.bit_generator.state = state["numpy"]
        return True

    def advance(self) -> dict[str, float]:
        """One step of the optimizers; the parts of its loss."""
        progress = self.clock.progress
        along = 0.5 + progress / 2 if self.recipe.start else progress
        sides = next(sides for start, sides in reversed(SIZES) if along >= start)
        batch = make_batch(
            self.cache,
            self.order.take(self.recipe.batch).tolist(),
            int(self.rng.choice(sides)),
            self.tokenizer.encode,
            self.rng,
        )
        scale_learning_rates(self.optimizers, cosine_with_warmup(progress, warmup=0.05))
        predictions = training_pass(
            self.model, self.tokenizer, batch.images.to(self.recipe.device), batch.captions
        )
        loss, parts = total_loss(predictions, batch)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimizer in self.optimizers:
                optimizer.step()
            self.ema.update(self.model)
        self.step += 1
        return parts | {"norm": float(norm)}


def export(run: Run, folder: Path) -> None:
    """Write the averaged weights, in half precision, as a model folder."""
    write_vocabulary(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    named = dict(run.model.named_parameters(remove_duplicate=False))
    state = {
        name: (value.half() if value.is_floating_point() and name in named else value)
        .detach()
        .cpu()
        .clone()
        .contiguous()
        for name, value in run.ema.shadow.items()
    }
    aside = folder / f".model.{os.getpid()}"
    save_file(state, aside)
    aside.chmod(0o644)
    aside.replace(folder / "model.safetensors")


def train(recipe: Recipe, cache: SceneCache, out: Path, exported: Path, curve: Curve) -> None:
    """Train until the recipe's minutes are spent."""
    run = Run(recipe, cache, out)
    if run.resume():
        logger.info("going on from step %d", run.step)
    count = sum(p.numel() for p in run.model.parameters())
    logger.info("%.2f million parameters, %d scenes", count / 1e6, len(cache))
    run.model.train()
    saved_at = run.clock.elapsed_s
    sums: dict[str, float] = {}
    summed = 0
    with quiet_package():
        while run.clock.progress < 1:
            for name, value in run.advance().items():
                sums[name] = sums.get(name, 0.0) + value
            summed += 1
            if run.step % recipe.report_every == 0:
                means = {name: value / summed for name, value in sums.items()}
                curve.add(run.step, seconds=run.clock.elapsed_s, **means)
                sums, summed = {}, 0
            if run.clock.elapsed_s - saved_at > recipe.save_every_s:
                run.save()
                export(run, exported)
                saved_at = run.clock.elapsed_s
    run.save()
    export(run, exported)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--export", type=Path, required=True, help="model folder to write")
    parser.add_argument("--curve", type=Path, default=Path("training/curves/detector.jsonl"))
    parser.add_argument("--start", type=Path, help="model folder to begin with")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mlflow", help="tracking URI; none by default")
    given = parser.parse_args()
    set_up_process(seed=given.seed, threads=given.threads)
    recipe = Recipe(
        minutes=given.minutes,
        seed=given.seed,
        batch=given.batch,
        learning_rate=given.learning_rate,
        threads=given.threads,
        device=given.device,
        start=given.start,
    )
    curve = Curve(given.curve, mlflow_uri=given.mlflow, name="detector")
    train(recipe, open_cache(given.cache), given.out, given.export, curve)
    curve.close()


if __name__ == "__main__":
    main()
