"""Train the tiny text segmenter on rendered scenes.

    python -m training.text_segmenter.train --cache DIR --out DIR --minutes 30

A stopped run goes on from its last checkpoint when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.clipseg.modeling_clipseg import CLIPSegAttention

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
from training.text_segmenter.data import SceneSource, build_batch
from training.text_segmenter.export import export
from training.text_segmenter.losses import losses, stuff_ious
from training.text_segmenter.model import (
    TrainingOutputs,
    TrainingSegmenter,
    build_config,
    build_model,
    build_tokenizer,
    encode,
)
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import STUFF

logger = logging.getLogger(__name__)

# Held out from training, and apart from the scenes on which the result is reported.
VALIDATION_SEEDS = range(100, 132)


@dataclass(frozen=True)
class Recipe:
    """Settings of a run."""

    minutes: float
    seed: int = 0
    batch: int = 16
    decoded_early: int = 5
    """Images of a batch that get masks in the first part of the run; the rest train the image
    tower through the dense head alone, which costs half as much."""
    decoded_late: int = 10
    early_share: float = 0.35
    optimizer: str = "muon"
    learning_rate: float = 1.5e-3
    report_every_s: float = 60.0


def optimizers_of(model: TrainingSegmenter, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon (Jordan et al., 2024) for the matrices inside the network and AdamW for the rest."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        outer = "embedding" in name or "head" in name or parameter.ndim != 2
        (others if outer or recipe.optimizer != "muon" else matrices).append(parameter)
    adamw = torch.optim.AdamW(others, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    if not matrices:
        return (adamw,)
    muon = torch.optim.Muon(
        matrices, lr=recipe.learning_rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    return (adamw, muon)


class Run:
    """Everything that a run changes, so that it can be saved and restored."""

    def __init__(self, recipe: Recipe, source: SceneSource, out: Path) -> None:
        self.recipe = recipe
        self.source = source
        self.out = out
        self.tokenizer = build_tokenizer()
        self.model = TrainingSegmenter(build_model(build_config(self.tokenizer)))
        # One thread computes plain attention faster than the fused kernel's backward pass.
        for module in self.model.modules():
            if isinstance(module, CLIPSegAttention):
                module.config._attn_implementation = "eager"
        self.optimizers = optimizers_of(self.model, recipe)
        self.ema = Ema(self.model)
        self.order = DataOrder(len(source), seed=recipe.seed)
        self.clock = Clock(recipe.minutes)
        self.rng = np.random.default_rng(recipe.seed)
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        """The file from which a stopped run goes on."""
        return self.out / "checkpoint.pt"

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
        save_checkpoint(self.checkpoint, state)

    def resume(self) -> bool:
        """Go on from the checkpoint; False where there is none."""
        state = load_checkpoint(self.checkpoint)
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

    def train_step(self) -> dict[str, Tensor]:
        """One step; the parts of its loss."""
        progress = self.clock.progress
        scale_learning_rates(self.optimizers, cosine_with_warmup(progress))
        self.model.train()
        images, labels, segments = self.source.take(self.order.take(self.recipe.batch))
        batch = build_batch(images, labels, segments, rng=self.rng)
        early = progress < self.recipe.early_share
        decoded = slice(0, self.recipe.decoded_early if early else self.recipe.decoded_late)
        with torch.autocast("cpu", torch.bfloat16):
            outputs: TrainingOutputs = self.model(
                batch.pixels, encode(self.tokenizer, batch.prompts), batch.rows[decoded]
            )
        parts = losses(outputs, batch, decoded)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(parts.values())).sum())
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.ema.update(self.model)
        self.step += 1
        return {name: value.detach() for name, value in parts.items()}

    def averaged(self) -> TrainingSegmenter:
        """A model with the averaged weights."""
        model = TrainingSegmenter(build_model(build_config(self.tokenizer)))
        self.ema.copy_to(model)
        return model.eval()


@torch.no_grad()
def validate(run: Run) -> dict[str, float]:
    """Mean IoUs of the averaged weights on the validation scenes."""
    model = run.averaged()
    tokens = encode(run.tokenizer, STUFF)
    rng = np.random.default_rng(0)
    joint, single = [], []
    for seed in VALIDATION_SEEDS:
        scene = render_scene(seed)
        rows = [
            {"id": s.id, "name": s.name, "phrase": s.phrase, "isthing": s.isthing}
            for s in scene.segments
        ]
        labels = scene.label_map.astype(np.uint8)
        batch = build_batch(scene.image[None], labels[None], [rows], rng=rng, augment=False)
        outputs = model(batch.pixels, tokens, torch.arange(len(STUFF))[None])
        found = stuff_ious(outputs.logits[0], batch.categories[0], threshold=0.3)
        joint += found[0]
        single += found[1]
    return {"iou_joint": float(np.mean(joint)), "iou_single": float(np.mean(single))}


def train(recipe: Recipe, source: SceneSource, out: Path, curve: Curve) -> None:
    """Train until the time is spent, then write the averaged weights to `out`/export."""
    run = Run(recipe, source, out)
    if run.resume():
        logger.info("going on from step %d", run.step)
    reported = run.clock.elapsed_s
    sums: dict[str, float] = {}
    steps = 0
    while run.clock.progress < 1.0:
        for name, value in run.train_step().items():
            sums[name] = sums.get(name, 0.0) + float(value)
        steps += 1
        if run.clock.elapsed_s - reported > recipe.report_every_s:
            run.order.grow(source.refresh())
            means = {name: value / steps for name, value in sums.items()}
            curve.add(
                run.step, seconds=run.clock.elapsed_s, scenes=len(source), **means, **validate(run)
            )
            run.save()
            export(run.averaged().model, run.tokenizer, out / "export")
            reported, sums, steps = run.clock.elapsed_s, {}, 0
    run.save()
    curve.add(run.step, seconds=run.clock.elapsed_s, scenes=len(source), **validate(run))
    export(run.averaged().model, run.tokenizer, out / "export")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the tiny text segmenter.")
    parser.add_argument("--cache", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, curve and export")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--curve", type=Path, help="JSON lines; default: in the output folder")
    parser.add_argument("--mlflow", help="tracking URI of MLflow")
    given = parser.parse_args(arguments)
    set_up_process(seed=given.seed)
    recipe = Recipe(
        minutes=given.minutes,
        seed=given.seed,
        optimizer=given.optimizer,
        learning_rate=given.learning_rate,
    )
    curve = Curve(
        given.curve or given.out / "curve.jsonl", mlflow_uri=given.mlflow, name="text segmenter"
    )
    train(recipe, SceneSource(given.cache), given.out, curve)
    curve.close()


if __name__ == "__main__":
    main()
